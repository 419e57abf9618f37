"""Play recorded in the real Minetest: keys and mouse by its clock; an episode is played again, frame by frame."""

from types import SimpleNamespace

import pytest
from minetest_makers import needs_engine

from rig.actions import MINERL
from rig.data import Dataset
from rig.envs import Split, make_world
from rig.envs.rollout import Episode
from rig.playground import messages as said
from rig.playground.record import Record
from rig.playground.scene import Scene
from rig.playground.shelf import shelf_of

SEED = Split.VALIDATION.seed(0)
"""Of the other tests: where it has starts is known."""

pytestmark = needs_engine


@pytest.fixture(scope="module")
def world():
    world = make_world("minetest")
    yield world
    world.close()


def test_keys_and_mouse_are_held_for_a_step_and_what_was_lost_is_played_again(world, tmp_path):
    now, told = [0.0], []
    shelf = shelf_of(str(tmp_path / "s0"), world)
    scene = Scene(world, Episode(task="collect_dirt", setting="tool", seed=SEED))
    hall = SimpleNamespace(
        world=world, scene=scene, fresh=lambda split: scene, tell=lambda kind, **values: told.append((kind, values))
    )
    record = Record(hall, shelf, clock=lambda: now[0])
    assert record.hertz == 5, "twenty ticks a second, of which a step is four"
    record.handle(said.Record(on=True))
    for keys, turn in ((["forward"], (0, 0)), (["forward", "jump"], (0, 12)), (["attack"], (21, -4)), ([], (0, 0))):
        record.handle(said.Keys(keys=keys, turn=turn))
        record.go_on()
        assert record.wait() > 0, "it is not time yet"
        now[0] += record.wait()
        record.go_on()
    done = ["forward", "forward, jump, camera:[0,10]", "attack, camera:[20,0]", "noop"]
    assert [values["previous"] for kind, values in told if kind == "playing"][1:] == done
    (log,) = (tmp_path / "s0.playing").glob("*.jsonl")
    kept = log.read_bytes()
    record.handle(said.Keep())
    log.write_bytes(kept)
    assert shelf.recover(world) == [f"recovered collect_dirt-tool-{SEED}-take-2, 4 steps"]
    shelf.close()
    one, two = Dataset(tmp_path / "s0")
    assert [MINERL.format(step.action) for step in two.steps] == done
    assert all((a.next_frame == b.next_frame).all() for a, b in zip(one.steps, two.steps, strict=True))
