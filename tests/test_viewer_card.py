"""A dataset's card: what it shows is what is there, whatever is written there is text, and it fits a phone."""

import base64
import hashlib
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from test_data_roundtrip import info_for, write
from test_viewer_browser import driver, screen  # noqa: F401 - a fixture
from test_viewer_browser import pytestmark as in_a_browser

from rig.actions import MINERL
from rig.cli.inspecting import inspect
from rig.cli.main import main
from rig.data import Dataset, DatasetWriter, Manifest
from rig.errors import DatasetError, RigError
from rig.records import Lineage, Review, fake_trajectory
from rig.viewer.card import render_card
from rig.viewer.figures import camera_turns, figures_of, in_bins, keys_pressed
from rig.viewer.markup import columns, element

HOSTILE = "</h3></style><script>alert(1)</script><img src=x onerror=alert(2)> & \"q\" 'a' <!-- \u202e \u2028 ]]>"


class Read(HTMLParser):
    """A page as a parser sees it: its elements with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def reviewed(seed, **changes):
    one = fake_trajectory(seed, num_dreams=2, **changes)
    said = "1. I keep it."
    return one.with_steps(
        [replace(step, review=Review(thought=said, action=step.action), thought=said) for step in one.steps]
    )


def card_of(tmp_path, trajectories, info=None, **given):
    source = write(tmp_path / "source", trajectories, info or info_for(size=32))
    found = render_card(source, tmp_path / "card.html", **given)
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    return Dataset(source), found, page, Read(page)


def hostile(seed):
    one = reviewed(seed)
    dreams = tuple(replace(dream, thought=HOSTILE) for dream in one.steps[0].dreams)
    review = Review(thought=HOSTILE, action=one.steps[0].action, helped=True)
    steps = [
        replace(step, instruction=HOSTILE, thought=HOSTILE, actor=HOSTILE, dreams=dreams, review=review)
        for step in one.steps
    ]
    lineage = Lineage(stage="s4", actor=HOSTILE, annotator=HOSTILE)
    return replace(one, id=HOSTILE, task=HOSTILE, setting=HOSTILE, steps=steps, environment=HOSTILE, lineage=lineage)


def test_whatever_is_written_in_a_dataset_is_text_on_its_card(tmp_path):
    info = info_for(size=32, name=HOSTILE, stage=HOSTILE, environment=HOSTILE)
    _, _, page, read = card_of(tmp_path, [hostile(1)], info, licence=HOSTILE)
    told = "".join(read.text)
    assert told.count("<img src=x onerror=alert(2)>") > 10, "everywhere, and as it is"
    names = Counter(tag for tag, _ in read.elements)
    assert not set(names) & {"script", "iframe", "object", "embed", "form", "a", "base"}
    assert names["style"] == 1
    attributes = {name for _, attrs in read.elements for name in attrs}
    assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert all(attrs["src"].startswith("data:image/png;base64,") for tag, attrs in read.elements if tag == "img")
    assert "http" not in re.sub(r'http-equiv="Content', "", page), "it loads nothing"


def test_the_policy_allows_its_own_style_and_pictures_alone(tmp_path):
    _, _, page, read = card_of(tmp_path, [reviewed(1)])
    (policy,) = [attrs["content"] for tag, attrs in read.elements if attrs.get("http-equiv")]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    wanted = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{wanted}'; base-uri 'none'; form-action 'none'"
    )


def test_pictures_are_the_frames_of_the_steps_that_are_shown(tmp_path):
    dataset, found, _, read = card_of(tmp_path, [reviewed(seed, length=1) for seed in range(3)], samples=2)
    assert found["samples"] == 2
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2]))))
        for tag, attrs in read.elements
        if tag == "img"
    ]
    wanted = []
    for step in dataset.steps():
        dreamed = [frame for dream in step.dreams for frame in (dream.frame, dream.real_frame)]
        frames = [frame for frame in (step.frame, *dreamed, step.next_frame) if frame is not None]
        wanted += frames if any(np.array_equal(step.frame, picture) for picture in shown) else []
    assert len(wanted) == len(shown) == 2 * (2 + 4)
    assert all(map(np.array_equal, wanted, shown))


def test_large_frames_are_shown_small(tmp_path):
    _, _, _, read = card_of(tmp_path, [fake_trajectory(0, size=640, length=1)], info_for(size=640))
    attrs = next(attrs for tag, attrs in read.elements if tag == "img")
    assert Image.open(io.BytesIO(base64.b64decode(attrs["src"].partition(",")[2]))).size == (320, 320)
    assert (attrs["width"], attrs["height"]) == ("640", "640")


def test_figures_are_those_of_the_dataset(tmp_path):
    trajectories = [reviewed(1), fake_trajectory(2, length=7), replace(fake_trajectory(3), success=False, task="dig")]
    dataset, found, _, read = card_of(tmp_path, trajectories)
    assert found == {"trajectories": 3, "steps": 15, "success": 2 / 3, "hours": None, "samples": 3}
    figures, steps = figures_of(dataset, []), list(dataset.steps())
    texts = Counter(dataset.info.action_space.format(step.action) for step in steps)
    assert figures.actions == texts
    assert figures.words["thoughts"].total() == 11, "a thought that is a review is counted once"
    assert figures.words["reviews"] == Counter({4: 4})
    assert figures.words["thoughts of dreams"].total() == 8 == figures.dreams == figures.dreams_with_real_frame
    assert {name: (cell.lengths, cell.won) for name, cell in figures.cells.items()} == {
        "collect_wood/manual": ([4, 7], 2),
        "dig/manual": ([4], 0),
    }
    text = " ".join("".join(read.text).split())
    for told in ("15", "67%", "4 to 7 steps, 5.0 on average, 4 in the middle.", dataset.content_hash, "fake"):
        assert told in text


@pytest.mark.parametrize(
    ("changes", "given", "hours", "told"),
    [
        ({"environment": "minetest"}, {}, 8 * 0.2 / 3600, "a step lasts 0.2 s of the world minetest's own time"),
        ({"environment": "minerl"}, {"steps_per_second": 20}, 8 / 20 / 3600, "20 steps a second, as was given"),
        ({"environment": "minerl"}, {}, 8 * 0.05 / 3600, "a step lasts 0.05 s of the world minerl's own time"),
        ({"environment": "elsewhere"}, {}, None, "not known: the world elsewhere has no clock"),
        ({}, {}, None, "not known: the world crafter has no clock, and --steps-per-second was not given"),
    ],
)
def test_hours_of_play_are_of_the_worlds_own_clock_or_as_given(tmp_path, changes, given, hours, told):
    trajectory = replace(fake_trajectory(0, length=8), environment=changes.get("environment", "crafter"))
    _, found, _, read = card_of(tmp_path, [trajectory], info_for(size=32, **changes), **given)
    assert found["hours"] == (None if hours is None else pytest.approx(hours))
    text = "".join(read.text)
    assert told in text
    assert ("CC BY-SA 3.0" in text) == (changes.get("environment") == "minetest"), "whose pictures"


def test_the_camera_is_counted_where_it_turns(tmp_path):
    dataset, _, _, read = card_of(tmp_path, [fake_trajectory(0, space=MINERL, length=9)], info_for(MINERL, 32))
    steps = list(dataset.steps())
    figures = figures_of(dataset, [])
    turned = [step.action.camera for step in steps if any(step.action.camera)]
    found = camera_turns(figures.actions, MINERL)
    assert found == {"pitch": Counter(p for p, _ in turned), "yaw": Counter(y for _, y in turned)}
    assert keys_pressed(figures.actions, MINERL) == Counter(key for step in steps for key in step.action.keys)
    assert "Camera: yaw, in degrees" in "".join(read.text)
    assert [attrs["class"] for tag, attrs in read.elements if tag == "svg"].count("columns") == 2


def test_bins_hold_every_number_once():
    assert in_bins({3: 1, 5: 2}) == {"3": 1, "4": 0, "5": 2}
    assert in_bins({}) == {}
    assert in_bins({0: 1, 30: 2}) == {f"{2 * n} to {2 * n + 1}": int(n == 0) for n in range(15)} | {"30": 2}
    turns = in_bins({-180: 1, 180: 2, 0: 3}, step=5)
    assert list(turns)[:2] + list(turns)[-1:] == ["-180 to -165", "-160 to -145", "180"]
    random = np.random.default_rng(0)
    for _ in range(50):
        counts = Counter(random.integers(-200, 200, random.integers(1, 99)).tolist())
        bins = in_bins(counts)
        assert sum(bins.values()) == counts.total()
        assert 1 <= len(bins) <= 24
    page = columns({"1–2": 4, "3–4": 0, "5–6": 2}, told="lengths")
    heights = [float(attrs["height"]) for tag, attrs in Read(page).elements if tag == "rect"]
    assert heights == [40, 0, 20]


def test_elements_escape_what_is_no_markup():
    assert element("p", "<b>", element("b", 1), title='"&') == '<p title="&quot;&amp;">&lt;b&gt;<b>1</b></p>'


def test_what_no_card_can_be_made_of_is_told_and_leaves_no_page(tmp_path):
    source = write(tmp_path / "source", [reviewed(1)], info_for(size=32))
    page = tmp_path / "card.html"
    for given, told in (
        ({"samples": 0}, "samples=0: at least 1"),
        ({"steps_per_second": 0.0}, "steps_per_second=0.0: a finite number, above 0"),
        ({"steps_per_second": float("inf")}, "steps_per_second=inf"),
    ):
        with pytest.raises(RigError, match=told):
            render_card(source, page, **given)
    with DatasetWriter(tmp_path / "empty", info_for()):
        pass
    with pytest.raises(DatasetError, match="holds no trajectory"):
        render_card(tmp_path / "empty", page)
    with pytest.raises(RigError, match="is a folder, and a page is a file"):
        render_card(source, tmp_path)
    frames = next((source / "shards").glob("frames-*"))
    frames.write_bytes(frames.read_bytes()[:-1] + b"x")
    with pytest.raises(DatasetError, match="is altered"):
        render_card(source, page)
    replace(Manifest.load(source), complete=False).save(source)
    with pytest.raises(DatasetError, match="is unfinished"):
        render_card(source, page)
    assert not page.exists()


def test_the_command_writes_a_page_that_inspect_knows(tmp_path, capsys):
    source, page = write(tmp_path / "source", [reviewed(1)], info_for(size=32)), tmp_path / "card.html"
    assert main(["data", "card", "--dataset", str(source), "--out", str(page), "--title", "Ours"]) == 0
    assert "1 trajectories, 4 steps" in capsys.readouterr().out
    assert "<title>Ours</title>" in page.read_text(encoding="utf-8")
    assert inspect(page)["kind"] == "dataset card"


@pytest.mark.parametrize("width", [360, 390, 500, 1440])
@in_a_browser[0]
@in_a_browser[1]
@in_a_browser[2]
def test_nothing_sticks_out_and_nothing_is_refused(driver, tmp_path, width):  # noqa: F811 - the fixture
    long = "w" * 300
    one = replace(hostile(1), task=long)
    card_of(tmp_path, [fake_trajectory(2, space=MINERL, length=9)], info_for(MINERL, 32))
    (tmp_path / "card.html").rename(tmp_path / "camera.html")
    source = write(tmp_path / "long", [replace(one, environment="farm")], info_for(size=32, environment="farm"))
    render_card(source, tmp_path / "long.html", title=long)
    for page in ("camera.html", "long.html"):
        with screen(driver, width):
            driver.get((tmp_path / page).as_uri())
            assert driver.execute_script("return document.documentElement.scrollWidth - innerWidth") <= 0
            assert driver.execute_script("return [...document.images].every((image) => image.naturalWidth > 0)")
            assert driver.execute_script("return document.querySelector('svg rect').getBBox().width > 0")
            assert driver.get_log("browser") == []
