"""Which episodes a page shows: some of every task and setting, and for each from all over the dataset."""

import json
import re
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_data_roundtrip import info_for

from rig.cli.playing import View
from rig.data import DatasetWriter
from rig.errors import RigError
from rig.records import fake_trajectory
from rig.viewer import choose
from rig.viewer.choice import spread

CELLS = [("collect_wood", "manual"), ("collect_wood", "tool"), ("dig_down", "manual")]


def entries(count, cells=CELLS):
    return [
        SimpleNamespace(number=n, task=cells[n % len(cells)][0], setting=cells[n % len(cells)][1]) for n in range(count)
    ]


@pytest.fixture(scope="module")
def alternating(tmp_path_factory):
    """A dataset of 36 short episodes whose cells alternate."""
    path = tmp_path_factory.mktemp("alternating") / "set"
    with DatasetWriter(path, info_for(size=4)) as writer:
        for number in range(36):
            task, setting = CELLS[number % 3]
            episode = fake_trajectory(number, length=1, size=4)
            writer.append(replace(episode, id=f"e{number}", task=task, setting=setting))
    return path


def shown(path, data, **options):
    View(data=str(data), out=str(path), **options).run()
    payload = json.loads(re.search(r'type="application/json">(.*?)</script>', path.read_text())[1])
    return [(e["id"], e["task"], e["setting"]) for e in payload["episodes"]]


def test_view_shows_every_cell_of_a_dataset_whose_cells_alternate(alternating, tmp_path):
    episodes = shown(tmp_path / "page.html", alternating, episodes=12)
    assert Counter(cell for _, *cell in map(tuple, episodes) for cell in [tuple(cell)]) == dict.fromkeys(CELLS, 4)
    numbers = [int(name[1:]) for name, *_ in episodes]
    assert numbers == sorted(numbers)
    assert (numbers[0], numbers[-1]) == (0, 35), "from the dataset's first to its last"


def test_view_names_a_task_and_setting_that_the_dataset_lacks(alternating, tmp_path):
    with pytest.raises(RigError, match=r"no episode of dig_down/tool. It has: .*dig_down/manual"):
        View(data=str(alternating), out=str(tmp_path / "page.html"), tasks=("dig_down/tool",)).run()


def test_view_refuses_a_folder_as_its_page(alternating, tmp_path):
    with pytest.raises(RigError, match=r"is a folder, and a page is a file; name one, for example .*/trace.html"):
        View(data=str(alternating), out=str(tmp_path)).run()


def test_what_one_cell_lacks_goes_to_the_others():
    uneven = entries(30, CELLS[:2]) + entries(1, CELLS[2:])
    assert Counter((e.task, e.setting) for e in choose(uneven, 9)) == {CELLS[0]: 4, CELLS[1]: 4, CELLS[2]: 1}
    assert choose(uneven, 100) == uneven


def test_more_cells_than_room_are_spread_too():
    many = [SimpleNamespace(task=f"task_{number:02}", setting="manual") for number in range(22) for _ in range(3)]
    assert [entry.task for entry in choose(many, 4)] == ["task_00", "task_07", "task_14", "task_21"]


def test_a_spread_keeps_the_ends_and_what_it_has_to():
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(10, 4, keep=5) == [0, 3, 5, 9]
    assert spread(3, 10) == [0, 1, 2]
    assert spread(10, 1, keep=7) == [7]
    assert all(len(spread(length, count)) == min(length, count) for length in range(1, 40) for count in range(1, 40))
