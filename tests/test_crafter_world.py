"""Crafter as a world: the Gymnasium interface, tasks and their tests of success, seeds, and replays that are exact."""

import itertools
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from rig.actions import NOOP, Action
from rig.envs import CELL_READERS, WORLDS, Split, make_world, split_of
from rig.envs.crafter.facts import View, read_facts
from rig.envs.crafter.world import CrafterWorld
from rig.errors import ActionError, RigError, UnknownNameError
from rig.teachers import RandomTeacher

USE = Action.press("use")


@pytest.fixture(scope="module")
def world():
    return CrafterWorld()


def start(world, task="collect_wood", setting="manual", seed=0):
    return world.reset(seed=seed, options={"task": task, "setting": setting})


def play(world, steps, seed):
    """Play random keys and return what was seen."""
    teacher = RandomTeacher(seed)
    return [world.act(teacher.act(world))[0].copy() for _ in range(steps)]


def test_gymnasium_accepts_it(world):
    assert isinstance(world, gym.Env)
    check_env(world, skip_render_check=True)


def test_one_cell_is_one_patch(world):
    frame, info = start(world)
    assert frame.shape == (144, 144, 3)
    assert frame.dtype == np.uint8
    view = info["privileged"]["view"]
    assert (len(view), len(view[0])) == (7, 9)
    grass = [(x, y) for y in range(7) for x in range(9) if view[y][x] == "."]
    creatures = {tuple(c["at"]) for c in info["privileged"]["creatures"]} | {(0, 0)}
    tiles = {
        frame[y * 16 : y * 16 + 16, x * 16 : x * 16 + 16].tobytes() for x, y in grass if (x - 4, y - 3) not in creatures
    }
    assert len(tiles) == 1, "every bare grass cell is drawn alike, inside its own patch"


@given(st.sampled_from(list(Split)), st.integers(0, 2**28 - 1))
def test_no_seed_belongs_to_two_splits(split, index):
    assert split_of(split.seed(index)) is split


def test_splits_are_disjoint_ranges_that_the_world_sampler_respects(world):
    ranges = sorted((split.first, split.stop) for split in Split)
    assert all(stop <= following for (_, stop), (following, _) in itertools.pairwise(ranges))
    task = world.tasks["place_table"]
    seeds = {split: world.episode_seeds(task, "tool", split, 2) for split in Split}
    assert all(split_of(seed) is split for split, found in seeds.items() for seed in found)
    with pytest.raises(RigError, match="no split"):
        split_of(Split.EVALUATION.stop)


def test_a_long_search_for_worlds_shows_a_bar_and_a_short_one_nothing(world, monkeypatch, capsys):
    search = world.tasks["place_table"], "tool", Split.TRAIN, 2
    world.episode_seeds(*search)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("rig.envs.base._PATIENCE", 0.0)
    world.episode_seeds(*search)
    assert "worlds for place_table/tool" in capsys.readouterr().err


def test_replay_is_exact_through_the_night(world):
    """Night frames hold noise from the world's own stream: a replay must bring back every pixel of it."""
    start(world, seed=1)
    world.engine._step = 175
    state = world.save()
    first = play(world, 40, seed=5)
    assert np.abs(np.diff(first[20].astype(int), axis=0)).mean() > 5, "these frames are noisy"
    again = world.load(state)
    assert np.array_equal(again, world.render())
    assert all(np.array_equal(a, b) for a, b in zip(first, play(world, 40, seed=5), strict=True))


def test_the_same_seed_gives_the_same_episode_in_another_process(world):
    """Chunks keep insertion order; with Crafter's own sets, despawning follows memory addresses."""
    script = (
        "import sys, hashlib; sys.path.insert(0, 'tests')\n"
        "from test_crafter_world import CrafterWorld, start, play\n"
        "pad = [object() for _ in range(int(sys.argv[1]))]\n"
        "world = CrafterWorld(); start(world, seed=3); world.engine._step = 150\n"
        "print(hashlib.sha256(b''.join(f.tobytes() for f in play(world, 120, 9))).hexdigest())"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script, pad], capture_output=True, text=True, check=True) for pad in "19"
    ]
    assert runs[0].stdout == runs[1].stdout


def test_forks_do_not_disturb_each_other(world):
    start(world, seed=2)
    state = world.save()
    world.act(Action.press("move_left"))
    world.load(state)
    assert world.engine.time == 0
    assert world.samples == 0


@pytest.mark.parametrize(("task", "setting"), [(t.name, s) for t, s in CrafterWorld.tasks.variants()])
def test_every_task_starts_as_it_says(world, task, setting):
    seed = world.episode_seeds(world.tasks[task], setting, Split.VALIDATION, 1)[0]
    _, info = start(world, task, setting, seed)
    held = info["privileged"]["inventory"]
    wanted = world.tasks[task].start(setting).inventory
    assert {item: held.get(item, 0) for item in wanted} == dict(wanted)
    if setting == "manual":
        assert set(held) == {"health", "food", "drink", "energy"}
    assert world.samples == 0


def test_success_ends_the_episode_and_pays_one_in_all(world):
    start(world, "place_table", "tool")
    total, terminated = 0.0, False
    while not terminated:
        view = View(read_facts(world.engine))
        move = next((key for key in ("left", "right", "up", "down") if not view.is_free(view.facing)), None)
        _, reward, terminated, truncated, info = world.act(
            Action.press("place_table") if move is None else Action.press(f"move_{move}")
        )
        total += reward
        assert not truncated
    assert info["success"]
    assert total == 1.0


def test_the_limit_cuts_the_episode(world):
    start(world, "place_table", "tool")
    outcomes = [world.act(NOOP)[2:4] for _ in range(world.task.start("tool").limit)]
    assert outcomes[-1] == (False, True)
    assert set(outcomes[:-1]) == {(False, False)}


def test_only_placed_stones_make_a_wall(world):
    start(world, "build_wall", "tool")
    facing_stone = (world.engine.player.pos[0] + 1, world.engine.player.pos[1])
    world.engine.world[facing_stone] = "stone"
    world.act(Action.press("move_right"))
    world.act(Action.press("place_stone"))
    assert world.samples == 0
    world.act(USE)
    world.act(Action.press("place_stone"))
    assert world.samples == 1
    world.act(USE)
    assert world.samples == 0


def test_gliding_plays_the_same_rules_without_drawing(world):
    start(world, seed=4)
    state = world.save()
    actions = [Action.press(f"move_{way}") for way in ("left", "up", "up", "right", "down")] * 4
    for action in actions:
        world.act(action)
    seen = world.privileged()
    world.load(state)
    for action in actions:
        world.step_without_render(action)
    assert world.privileged() == seen, "by day no frame draws from the random stream"


def test_mistakes_are_named(world):
    with pytest.raises(UnknownNameError, match="Did you mean 'collect_wood'"):
        start(world, "colect_wood")
    with pytest.raises(UnknownNameError, match="setting"):
        start(world, "collect_iron", "tool")
    with pytest.raises(UnknownNameError, match="Did you mean 'crafter'"):
        make_world("crafer")
    assert "crafter" in WORLDS.names()


def test_a_broken_world_cache_is_made_again(world, tmp_path, monkeypatch):
    from rig.envs.crafter import simulator

    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    simulator._generated.cache_clear()
    seed = Split.VALIDATION.seed(0)
    first, _ = start(world, "place_table", "tool", seed)
    file = next(tmp_path.rglob("*.npz"))
    file.write_bytes(file.read_bytes()[:100])
    simulator._generated.cache_clear()
    again, _ = start(world, "place_table", "tool", seed)
    assert np.array_equal(first, again)
    simulator._generated.cache_clear()


def test_cells_are_read_from_real_frames_without_error_by_day(world):
    reader, random = CELL_READERS.get("crafter")(), RandomTeacher(1)
    frames, facts = [], []
    for seed, (task, setting) in enumerate(world.tasks.variants()):
        world.reset(
            seed=world.episode_seeds(task, setting, Split.VALIDATION, 1, skip=seed % 3)[0],
            options={"task": task.name, "setting": setting},
        )
        for _ in range(8):
            frames.append(world.act(random.act(world))[0])
            facts.append(world.privileged())
    truth = np.stack([reader.truth(fact) for fact in facts])
    assert (truth >= 0).all()
    assert np.array_equal(reader.read(frames, facts), truth)
    shifted = np.roll(np.stack(frames), 16, axis=1)
    assert (reader.read(shifted, facts) == truth).mean() < 0.9


@pytest.mark.parametrize(
    "action", [-1, 17, 0.7, 3.0, "use", None, True, [3], np.array([1, 2]), 10**400, {"use": 1}], ids=str
)
def test_a_number_that_is_no_action_is_named_and_no_time_passes(action):
    world = CrafterWorld()
    world.reset(seed=world.episode_seeds(world.task, "manual", Split.TRAIN, 1)[0])
    before = world.save()
    with pytest.raises(ActionError, match=r"the action .* is no whole number from 0 to 16"):
        world.step(action)
    assert world.save() == before


def test_an_action_in_an_array_of_one_is_taken():
    world = CrafterWorld()
    world.reset(seed=world.episode_seeds(world.task, "manual", Split.TRAIN, 1)[0])
    before, frames = world.save(), []
    for action in (1, np.int64(1), np.array(1), np.array([1])):
        world.load(before)
        frames.append(world.step(action)[0])
    assert all(np.array_equal(frame, frames[0]) for frame in frames)
