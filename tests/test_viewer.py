"""What the page is given: every field of a step, each frame once, and text that stays text."""

import base64
import io
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rig.actions import Action
from rig.dialogue import prompt
from rig.errors import RigError, UnknownNameError
from rig.records import Review, fake_frame, fake_step, fake_trajectory
from rig.viewer import render_trace
from rig.viewer.page import fill
from rig.viewer.payload import build_payload, progress
from rig.viewer.text import clauses

HOSTILE = "</script><script>alert(1)</script> <!-- {{title}} & \u2028 \ud800 ]]>"


class Scripts(HTMLParser):
    """Collects a page's scripts, and every tag with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.lasttag == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data


def payload_of(*trajectories, **options):
    return build_payload(trajectories, **{"title": "trace", "meta": {}, **options})


def one_step(step):
    return payload_of(fake_trajectory().with_steps((step,)))["episodes"][0]["steps"][0]


def pixels(payload, number):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(payload["frames"][number]))))


def test_the_payload_holds_the_episode():
    trajectory = fake_trajectory(3, length=4, num_dreams=2)
    payload = payload_of(trajectory, meta={"seeds": 10, "commit": "abc"})
    episode = payload["episodes"][0]
    assert [(name, *value["clauses"]) for name, value in payload["meta"]] == [("seeds", "10"), ("commit", "abc")]
    assert payload["phrase"] == prompt.REVIEW.strip()
    assert (episode["task"], episode["setting"], episode["seed"]) == ("collect_wood", "manual", "3")
    assert (episode["success"], episode["length"]) == (True, 4)
    step, shown = trajectory.steps[2], episode["steps"][2]
    assert (shown["instruction"]["clauses"], shown["actor"]) == ([step.instruction], "policy")
    assert " ".join(shown["thought"]["clauses"]) == step.thought
    assert shown["previous"] == episode["steps"][1]["action"]
    assert np.array_equal(pixels(payload, shown["frame"]), step.frame)
    assert np.array_equal(pixels(payload, shown["next"]), step.next_frame)
    for dream, drawn in zip(step.dreams, shown["dreams"], strict=True):
        assert np.array_equal(pixels(payload, drawn["frame"]), dream.frame)
        assert np.array_equal(pixels(payload, drawn["real"]), dream.real_frame)
        assert re.fullmatch(r"PSNR \d+\.\d dB", drawn["match"])


def test_each_frame_is_stored_once():
    assert len(payload_of(fake_trajectory(length=6))["frames"]) == 7
    assert len(payload_of(fake_trajectory(length=6), fake_trajectory(length=6))["frames"]) == 7
    still = fake_step(0)
    assert len(payload_of(fake_trajectory().with_steps((replace(still, next_frame=still.frame),)))["frames"]) == 1


def test_frames_of_the_same_bytes_and_another_shape_are_kept_apart():
    wide, tall = np.zeros((4, 8, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)
    payload = payload_of(fake_trajectory().with_steps((replace(fake_step(), frame=wide, next_frame=tall),)))
    assert [pixels(payload, number).shape for number in (0, 1)] == [(4, 8, 3), (8, 4, 3)]


def test_the_first_dream_meets_the_next_frame_only_if_its_action_was_executed():
    step = fake_step(1, num_dreams=2)
    dreams = tuple(
        replace(dream, action=Action.press(key), real_frame=None)
        for dream, key in zip(step.dreams, ["use", "sleep"], strict=True)
    )
    kept = replace(
        step, dreams=dreams, action=dreams[0].action, review=Review(thought="1. Go.", action=dreams[0].action)
    )
    shown = one_step(kept)
    assert shown["dreams"][0]["real"] == shown["next"]
    assert shown["dreams"][1]["real"] is None
    assert [dream["played"] for dream in shown["dreams"]] == [True, False]
    assert not shown["review"]["changed"]
    turned = replace(kept, action=Action.press("move_up"), review=Review(thought=None, action=Action.press("move_up")))
    shown = one_step(turned)
    assert shown["dreams"][0]["real"] is None
    assert not shown["dreams"][0]["played"]
    said = {"clauses": [], "left": 0}
    assert shown["review"] == {
        "thought": said,
        "proposal": "use",
        "action": "move_up",
        "changed": True,
        "verdict": None,
    }


def test_a_later_dream_meets_its_frame_where_the_episode_went_on_as_dreamed():
    base = fake_trajectory(5, length=4, num_dreams=2)
    steps = [replace(step, action=step.dreams[0].action) for step in base.steps]
    dreams = steps[1].dreams
    steps[1] = replace(steps[1], dreams=tuple(replace(dream, real_frame=None) for dream in dreams))
    steps[2] = replace(steps[2], action=dreams[1].action)
    payload = payload_of(base.with_steps(tuple(steps)))
    shown = payload["episodes"][0]["steps"]
    assert [dream["played"] for dream in shown[1]["dreams"]] == [True, True]
    assert shown[1]["dreams"][1]["real"] == shown[2]["next"]
    assert np.array_equal(pixels(payload, shown[1]["dreams"][1]["real"]), steps[2].next_frame)
    assert [dream["played"] for dream in shown[3]["dreams"]] == [True, False], "the episode ends before the second"


def test_what_a_review_says_of_its_plan_is_told_where_it_is_known():
    step = fake_step(num_dreams=1)
    told = {"says": "keep", "did": "change", "consistent": False}

    def verdict(**facts):
        return one_step(replace(step, privileged=facts))["review"]["verdict"]

    assert verdict(verdict=told) == {"says": "keep", "consistent": False}
    assert verdict() is None
    assert verdict(verdict={"says": None, "did": "change", "consistent": None}) is None
    assert verdict(verdict="guilty") is None, "a world's own fact of that name"


def test_ways_of_playing_are_told_by_the_caller_or_by_the_lineage():
    episodes = [fake_trajectory(seed, length=2) for seed in range(2)]
    assert [episode["way"] for episode in payload_of(*episodes)["episodes"]] == ["fake", "fake"]
    shown = payload_of(*episodes, ways=["RIG-basic", "RIG-lookahead, n = 1"])["episodes"]
    assert [(episode["way"], episode["actor"]) for episode in shown] == [
        ("RIG-basic", "fake"),
        ("RIG-lookahead, n = 1", "fake"),
    ]


def test_the_results_are_those_of_the_episodes_or_the_given_ones():
    episodes = [replace(fake_trajectory(seed, length=2 + seed), success=seed != 1) for seed in range(3)]
    episodes[2] = replace(episodes[2], task="dig_down")
    ways = ["basic", "ahead", "ahead"]
    table = payload_of(*episodes, ways=ways)["results"]
    assert [(row["name"], row["successes"], row["episodes"], row["steps"]) for row in table["ways"]] == [
        ("basic", 1, 1, 2.0),
        ("ahead", 1, 2, 3.5),
    ]
    assert table["cells"] == [
        {"name": "collect_wood/manual", "scores": [(1, 1), (0, 1)]},
        {"name": "dig_down/manual", "scores": [None, (1, 1)]},
    ]
    given = {
        "ahead": {"collect_wood/manual": (7, 10), "dig_down/manual": (0, 10)},
        "other": {"dig_down/manual": (2, 4)},
    }
    rows = {row["name"]: row for row in payload_of(*episodes, ways=ways, results=given)["results"]["ways"]}
    assert (rows["basic"]["successes"], rows["basic"]["episodes"]) == (1, 1)
    assert (rows["ahead"]["successes"], rows["ahead"]["episodes"], rows["ahead"]["shown"]) == (7, 20, 2)
    assert (rows["other"]["episodes"], rows["other"]["shown"], rows["other"]["steps"]) == (4, 0, None)


def test_the_page_opens_on_a_dream_or_where_it_is_told_to():
    plain, dreaming = fake_trajectory(0, length=3), fake_trajectory(1, length=6, num_dreams=1)
    late = dreaming.with_steps((*plain.steps[:2], *dreaming.steps[2:]))
    assert payload_of(plain)["first"] == [0, 0]
    assert payload_of(plain, late)["first"] == [1, 2]
    assert payload_of(plain, late, first=(0, 1))["first"] == [0, 1]
    thinned = payload_of(plain, late, first=(1, 4), max_steps=3)
    assert thinned["episodes"][1]["steps"][thinned["first"][1]]["position"] == 4
    assert len(thinned["episodes"][1]["steps"]) == 3


def test_numbers_that_javascript_cannot_hold_are_told_as_text():
    assert payload_of(replace(fake_trajectory(), seed=2**63 - 1))["episodes"][0]["seed"] == "9223372036854775807"


def test_dreams_without_pixels_and_equal_dreams_are_told():
    step = fake_step(2, num_dreams=2)
    frame = fake_frame(np.random.default_rng(0))
    dreams = (replace(step.dreams[0], frame=None), replace(step.dreams[1], frame=frame, real_frame=frame))
    shown = one_step(replace(step, dreams=dreams))["dreams"]
    assert (shown[0]["frame"], shown[0]["match"]) == (None, "")
    assert shown[1]["match"] == "identical"
    small = replace(step.dreams[0], frame=frame[:8, :8])
    assert one_step(replace(step, dreams=(small,)))["dreams"][0]["match"] == ""


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        ("1. A tree. 2. No wood. 3. Go.", ["1. A tree.", "2. No wood.", "3. Go."]),
        ("I have 3. 1. Then go on", ["I have 3.", "1. Then go on"]),
        ("1. There are 2. 5 more are far. 2. Go.", ["1. There are 2. 5 more are far.", "2. Go."]),
        ("1. Wood is near. 2. I have 3. 3. Go on.", ["1. Wood is near.", "2. I have 3.", "3. Go on."]),
        ("1. A tree 2. Go", ["1. A tree", "2. Go"]),
        ("no numbers, version 1.5", ["no numbers, version 1.5"]),
        ("1. Line\n2. line", ["1. Line", "2. line"]),
        ("  ", []),
        (None, []),
    ],
)
def test_thoughts_fall_into_their_numbered_clauses(thought, expected):
    assert clauses(thought) == expected


def test_progress_is_samples_where_told_and_rewards_otherwise():
    steps = [replace(fake_step(), reward=reward, privileged={}) for reward in (0.0, 1.0, 0.5)]
    assert progress(steps) == ("reward", [0.0, 1.0, 1.5])
    steps[1] = replace(steps[1], privileged={"samples": 4})
    assert progress(steps) == ("samples", [0.0, 4.0, 4.0])


def test_the_last_step_s_samples_count_at_the_end():
    trajectory = replace(fake_trajectory(length=2), samples=3)
    steps = tuple(replace(step, privileged={"samples": step.index}) for step in trajectory.steps)
    episode = payload_of(trajectory.with_steps(steps))["episodes"][0]
    assert (episode["progress"], episode["final"]) == ([0.0, 1.0], 3.0)
    assert (
        payload_of(replace(trajectory, steps=tuple(replace(step, reward=0.5) for step in trajectory.steps)))[
            "episodes"
        ][0]["final"]
        == 1.0
    )


def test_claims_keep_their_verdicts():
    claims = [{"text": "near", "verdict": True}, {"text": "far", "verdict": np.False_}, {"text": "tall"}]
    shown = one_step(replace(fake_step(), privileged={"claims": claims}))["claims"]
    assert [claim["verdict"] for claim in shown["list"]] == [True, False, None]
    with pytest.raises(RigError, match=r"step 0: claim \{'text': 'near', 'verdict': 'yes'\}"):
        one_step(replace(fake_step(), privileged={"claims": [{"text": "near", "verdict": "yes"}]}))


def test_claims_of_a_dream_also_keep_whether_its_frame_shows_them():
    claims = [
        {"text": "It moves.", "verdict": False, "of": "dream", "dreamed": np.True_},
        {"text": "Grass.", "verdict": True},
    ]
    still, grass = one_step(replace(fake_step(), privileged={"claims": claims}))["claims"]["list"]
    assert (still["verdict"], still["dreamed"]) == (False, True)
    assert "dreamed" not in grass
    with pytest.raises(RigError, match=r"claim \{.*'dreamed': 'a lot'\} is not"):
        one_step(replace(fake_step(), privileged={"claims": [{**claims[0], "dreamed": "a lot"}]}))


def test_max_steps_spreads_evenly_and_keeps_the_ends():
    episode = payload_of(fake_trajectory(length=50), max_steps=8)["episodes"][0]
    positions = [step["position"] for step in episode["steps"]]
    assert positions == [0, 7, 14, 21, 28, 35, 42, 49]
    assert (episode["length"], len(episode["progress"])) == (50, 8)
    assert len(payload_of(fake_trajectory(length=5), max_steps=8)["episodes"][0]["steps"]) == 5
    assert len(payload_of(fake_trajectory(length=5), max_steps=1)["episodes"][0]["steps"]) == 1


def test_hostile_text_stays_data(tmp_path):
    step = replace(fake_step(num_dreams=1), thought=HOSTILE, instruction=HOSTILE)
    trajectory = replace(fake_trajectory(), task=HOSTILE, id=HOSTILE, steps=(step,))
    path = render_trace([trajectory], tmp_path / "deep" / "trace.html", title=HOSTILE, meta={HOSTILE: HOSTILE})
    page = Scripts(path.read_text(encoding="utf-8"))
    assert len(page.scripts) == 2
    data = json.loads(page.scripts[0])
    assert data["title"] == data["episodes"][0]["task"] == HOSTILE
    assert data["episodes"][0]["steps"][0]["thought"]["clauses"] == [HOSTILE]
    assert "{{" not in page.scripts[1]
    assert list(path.parent.iterdir()) == [path]


def test_the_page_loads_nothing_and_its_policy_forbids_it(tmp_path):
    text = render_trace([fake_trajectory(num_dreams=1)], tmp_path / "trace.html").read_text(encoding="utf-8")
    page = Scripts(text)
    policy = next(attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, attributes in page.tags:
        assert not {"src", "style"} & set(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert attributes.get("href", "data:,") == "data:,"
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "@import"):
        assert forbidden not in text


def test_slots_are_filled_in_one_pass():
    template = "<title>{{title}}</title><style>a</style><script>b</script>{{payload}}"
    assert "<title>{{payload}}</title>" in fill(template, "{{payload}}", {})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: payload_of(), "no episodes"),
        (lambda: payload_of(fake_trajectory(length=0)), "episode 'fake-0' has no steps"),
        (lambda: payload_of(fake_trajectory(), max_steps=0), "max_steps is 0"),
        (lambda: payload_of(fake_trajectory(), ways=["a", "b"]), "2 ways of playing for 1 episodes"),
        (lambda: payload_of(fake_trajectory(), results={"a": {"b": (3, 2)}}), r"results\['a'\]\['b'\] is 3 of 2"),
        (lambda: payload_of(fake_trajectory(length=2), first=(0, 2)), r"first is \(0, 2\)"),
        (lambda: payload_of(fake_trajectory(length=2), first=(1, 0)), r"first is \(1, 0\)"),
        (lambda: one_step(replace(fake_step(), privileged={"samples": "3"})), "step 0: the fact \"samples\" is '3'"),
        (lambda: one_step(replace(fake_step(), privileged={"claims": 5})), "step 0: claims are 5, not a list"),
        (lambda: one_step(replace(fake_step(), privileged={"claims": ["near"]})), "step 0: claim 'near' is not"),
        (lambda: one_step(replace(fake_step(), frame=np.zeros((4, 4, 3)))), "step 0: frame is float64"),
        (
            lambda: one_step(
                replace(
                    fake_step(), dreams=(replace(fake_step(num_dreams=1).dreams[0], frame=np.zeros((4, 4), np.uint8)),)
                )
            ),
            r"dreams\[0\].frame is uint8 \[4, 4\]",
        ),
        (lambda: one_step(replace(fake_step(), reward=float("nan"))), "not finite"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(RigError, match=message):
        call()


def test_an_unknown_action_space_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'crafter'"):
        render_trace([replace(fake_trajectory(), action_space="craftr")], tmp_path / "trace.html")
    assert not list(tmp_path.iterdir())


def test_an_installed_viewer_has_all_its_parts():
    root = Path(__file__).parents[1]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["rig"]
    parts = {path.name for path in (root / "src/rig/viewer").iterdir() if path.suffix in (".html", ".css", ".js")}
    assert len(parts) == 7
    assert all(any(fnmatch(f"viewer/{part}", pattern) for pattern in patterns) for part in parts)


def test_importing_the_viewer_imports_no_torch():
    code = "import sys, rig.viewer; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
