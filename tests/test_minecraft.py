"""Minecraft behind MineStudio and MineRL: the same tests against strict doubles and, where they are, the engines.

What a test says of the game itself holds in any world: what is held at the start, where the camera turns, who walks.
"""

import re
from itertools import islice

import numpy as np
import pytest
from minecraft_makers import EXAMINED, SMALL, WORLDS, die, hold, installed, live, missing

from rig.actions import MINERL, NOOP, Action
from rig.cli.main import main
from rig.envs import MANUAL, TOOL, Split, make_world
from rig.envs.minecraft.engine import tick_of
from rig.envs.minecraft.facts import read_facts
from rig.envs.minecraft.tasks import LIMIT, commands
from rig.errors import ActionError, MissingDependencyError, RigError, SimulatorError
from rig.records import Lineage, Step

NAMES = tuple(WORLDS)


@pytest.fixture(
    params=[(name, is_real) for is_real in (False, True) for name in NAMES],
    ids=lambda one: ("real-" if one[1] else "") + one[0],
)
def world(request, tmp_path):
    """Both worlds, over their doubles and over their engines."""
    name, is_real = request.param
    if is_real:
        if lacking := missing(name):
            pytest.skip(f"needs {lacking}")
        made = WORLDS[name](SMALL)
        yield made
        made.close()
        return
    with installed(tmp_path / "site", name) as patch:
        made = WORLDS[name](SMALL)
        made.patch = patch
        yield made
        made.close()


@pytest.fixture(params=NAMES)
def double(request, tmp_path):
    """Both worlds over their doubles, with what patches these in `world.patch`."""
    with installed(tmp_path / "site", request.param) as patch:
        made = WORLDS[request.param](SMALL)
        made.patch = patch
        yield made
        made.close()


def begin(world, task="go_explore", setting=MANUAL, seed=7):
    return world.reset(seed=seed, options={"task": task, "setting": setting})


def test_an_episode_begins_with_a_frame_and_facts(world):
    frame, info = begin(world)
    assert world.observation_space.contains(frame)
    assert world.native_frame.shape == (360, 640, 3)
    assert frame[0, 0].tolist() == [127] * 3, "the proportions are kept, and the rest is filled as of imported frames"
    assert frame[16].any()
    facts = info["privileged"]
    assert {"position", "yaw", "pitch", "health", "food", "inventory", "mined"} <= set(facts)
    assert (facts["inventory"], facts["health"], facts["tick"], facts["samples"]) == ({}, 20.0, 0, 0)


@pytest.mark.parametrize(
    ("task", "setting", "held"),
    [
        ("chop_a_tree", TOOL, {"iron_axe": 1}),
        ("build_a_tower", MANUAL, {"dirt": 576}),
        ("build_a_tower", TOOL, {"iron_shovel": 1, "dirt": 576}),
        ("dig_down", MANUAL, {}),
    ],
)
def test_what_the_setting_gives_is_held_at_the_start(world, task, setting, held):
    _, info = begin(world, task, setting)
    assert info["privileged"]["inventory"] == held


def test_the_camera_turns_right_and_down_where_it_is_positive(world):
    _, info = begin(world)
    before = info["privileged"]
    facts = hold(world, 1, camera=(10, 25))[-1]["privileged"]
    assert facts["pitch"] - before["pitch"] == pytest.approx(10, abs=0.2)
    assert (facts["yaw"] - before["yaw"]) % 360 == pytest.approx(25, abs=0.2)


def test_who_walks_gets_away(world):
    begin(world)
    facts = hold(world, 40, "forward", "jump")[-1]["privileged"]
    assert facts["samples"] >= 1
    assert facts["tick"] == world.ticks == 40


def test_the_world_is_that_of_its_seed_in_every_episode(world):
    def place(seed):
        return begin(world, seed=seed)[1]["privileged"]["position"]

    first, other = place(7), place(8)
    assert first != other
    assert place(7) == pytest.approx(first, abs=1)


def test_a_world_of_another_biome_comes_after_the_first(world):
    begin(world, "chop_a_tree")
    begin(world, "break_grass")
    _, info = begin(world, "chop_a_tree")
    assert info["privileged"]["tick"] == 0


def test_keys_that_the_engine_lacks_are_reported(world):
    begin(world)
    info = world.step({"drop": 1, "forward": 1})[-1]
    assert info["ignored_keys"] == sorted({"drop"} - world.keys)
    assert ("drop" in world.keys) is (world.name == "minerl")
    assert world.keys <= set(MINERL.keys)


def test_every_action_of_the_space_can_be_done(world):
    begin(world)
    for action in (NOOP, Action.press("forward", "sprint", "jump", camera=(-180, 180)), *world.alternatives()):
        frame, reward, terminated, truncated, _ = world.act(action)
        assert (frame.dtype, reward, terminated, truncated) == (np.uint8, 0.0, False, False)
    random = np.random.default_rng(0)
    slips = {MINERL.format(world.random_action(random)) for _ in range(200)}
    assert {"noop", "forward", "attack"} < slips
    assert not any(key in slip for slip in slips for key in ("drop", "inventory", "ESC"))


@pytest.mark.parametrize(
    "action", [{"forward": 2}, {"jupm": 1}, {"camera": (0, 181)}, {"camera": (0, float("nan"))}, {"camera": "left"}, 5]
)
def test_an_action_that_is_none_is_refused_and_the_episode_goes_on(double, action):
    begin(double)
    with pytest.raises(ActionError):
        double.step(action)
    assert hold(double, 1, "forward")[-1]["privileged"]["tick"] == 1


@pytest.mark.parametrize(
    ("task", "setting"), [("chop_a_tree", TOOL), ("break_grass", MANUAL), ("collect_dirt", MANUAL)]
)
def test_what_is_collected_is_counted_beyond_success(double, task, setting):
    begin(double, task, setting)
    target = double.task.target
    turn = (90, 0) if task == "collect_dirt" else (0, 0)
    rewards = []
    for _ in range(3 * (target + 1)):
        _, reward, *ended, info = double.step({"attack": 1, "camera": turn})
        rewards.append(reward)
        assert ended == [False, False]
        assert info["success"] is (double.samples >= target)
    assert (double.samples, sum(rewards)) == (target + 1, pytest.approx(1))


def test_digging_down_ends_with_success(double):
    begin(double, "dig_down", TOOL)
    *_, terminated, truncated, info = hold(double, 12, "attack", camera=(90, 0))
    assert (terminated, truncated, info["success"], double.samples) == (True, False, True, 4)


def test_dirt_that_was_placed_and_dug_again_is_not_collected(double):
    begin(double, "collect_dirt")
    hold(double, 1, camera=(90, 0))
    assert hold(double, 3, "attack")[-1]["privileged"]["samples"] == 1
    assert hold(double, 1, "jump", "use")[-1]["privileged"]["samples"] == 0
    assert hold(double, 3, "attack")[-1]["privileged"]["samples"] == 1


def test_a_tower_is_as_high_as_one_stands_on_dirt_that_one_has_placed(double):
    begin(double, "build_a_tower", TOOL)
    hold(double, 1, "hotbar.2", camera=(90, 0))
    *_, terminated, _, info = hold(double, 8, "jump", "use")
    assert (terminated, info["success"], info["privileged"]["samples"]) == (True, True, 8)
    assert info["privileged"]["used"] == {"dirt": 8}


def test_exploring_is_the_distance_from_the_start(double):
    begin(double)
    hold(double, 42, "forward")
    assert double.samples == 8
    hold(double, 42, "back")
    assert double.samples == 8, "the farthest counts"


def test_an_episode_is_cut_at_its_limit(double, monkeypatch):
    begin(double)
    assert double.task.start(MANUAL).limit == LIMIT == 3000
    double.ticks = LIMIT - 1
    *_, terminated, truncated, info = hold(double, 1)
    assert (terminated, truncated, info["success"]) == (False, True, False)


def test_an_end_by_the_engine_ends_the_episode_and_no_step_follows(double):
    double.patch.setenv("FAKE_MINECRAFT_ENDS", "5")
    begin(double)
    assert hold(double, 5)[2:4] == (True, False)
    with pytest.raises(RigError, match="the engine has ended the episode; call reset first"):
        double.step({})
    begin(double)
    hold(double, 1)


def test_nothing_is_done_before_a_reset_or_after_the_end_of_the_world(double):
    with pytest.raises(RigError, match="there is no episode yet; call reset first"):
        double.step({})
    begin(double)
    double.close()
    double.close()
    with pytest.raises(RigError, match="the world is closed; call reset first"):
        double.act(NOOP)
    begin(double)
    hold(double, 1)


@pytest.mark.parametrize("how", ["error", "raise"])
def test_an_engine_that_dies_truncates_the_episode_and_the_next_one_starts_another(double, how):
    die(double.patch, 3, how)
    begin(double)
    hold(double, 2, "forward")
    before = double.render()
    frame, _, terminated, truncated, info = double.step({"forward": 1})
    assert (terminated, truncated) == (False, True)
    assert re.search(r"the engine failed in a step.*process has ended.*logs/", info["engine_failed"])
    assert np.array_equal(frame, before), "the engine's random frame is nobody's"
    with pytest.raises(RigError, match="the engine failed; call reset first"):
        double.step({})
    live(double.patch)
    begin(double)
    hold(double, 4, "forward")


def test_a_dead_engine_is_the_usual_error_for_who_acts(double):
    die(double.patch, 1, "raise")
    begin(double)
    with pytest.raises(SimulatorError, match="ConnectionResetError: the other side has gone"):
        double.act(NOOP)


def test_an_engine_that_dies_at_the_reset_says_what_to_look_at(double):
    die(double.patch, 0)
    with pytest.raises(SimulatorError, match=r"KeyError: 'pov'.*Java 8.*rig doctor"):
        begin(double)
    with pytest.raises(RigError, match="call reset first"):
        double.step({})
    live(double.patch)
    begin(double)


def test_states_cannot_be_saved_and_that_is_said(double):
    begin(double)
    for call in (double.save, lambda: double.load(b"")):
        with pytest.raises(RigError, match=r"can be neither saved nor gone back to; .*rig collect"):
            call()


def test_what_is_played_is_a_step(double):
    frame, info = begin(double)
    following, reward, *_ = double.act(NOOP)
    step = Step(
        index=0,
        frame=frame,
        instruction=double.task.instruction,
        action=NOOP,
        next_frame=following,
        reward=reward,
        privileged=info["privileged"],
    )
    assert step.privileged["target"] == double.task.target
    assert Lineage(stage="s1", actor="x").stage == "s1"


def test_any_seed_has_a_start_and_settings_are_the_papers(double):
    task = double.tasks["chop_a_tree"]
    assert double.episode_seeds(task, TOOL, Split.EVALUATION, 3) == list(islice(Split.EVALUATION.seeds(), 3))
    assert [task.name for task in double.tasks] == [
        *("chop_a_tree", "break_grass", "collect_dirt", "dig_down", "go_explore", "build_a_tower")
    ]
    assert {start.limit for task in double.tasks for start in task.starts.values()} == {LIMIT}
    biomes = {task.name: {start.biome for start in task.starts.values()} for task in double.tasks}
    assert biomes.pop("chop_a_tree") == {"forest"}
    assert set().union(*biomes.values()) == {"plains"}


def test_nine_stacks_of_dirt_fill_the_hotbar_and_a_tool_moves_them_on():
    found = commands({"iron_shovel": 1, "dirt": 576})
    assert found[0] == "/replaceitem entity @p hotbar.0 minecraft:iron_shovel 1"
    assert found[-1] == "/replaceitem entity @p inventory.0 minecraft:dirt 64"
    assert len(found) == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_one_sentence_with_its_command(name, tmp_path, capsys):
    if not missing(name):
        pytest.skip(f"{name} is installed here")
    world = make_world(name)
    with pytest.raises(MissingDependencyError, match=r"needs the package min\w+ 1\.\d: not installed. Install it: pip"):
        world.reset(seed=0)
    assert [finding.ok for finding in EXAMINED[name]()] == [False]
    world.close()
    words = ["--environment", name, "--agent", "teacher:random", "--episodes", "1", "--out", str(tmp_path / "out")]
    assert main(["eval", *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"rig eval: the world {name!r} needs the package")
    assert not (tmp_path / "out").exists(), "it is said before anything is written"


def test_nothing_is_asked_where_minestudio_s_engine_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    with installed(tmp_path / "site", "minestudio") as patch:
        (tmp_path / "site/studio/engine/build/libs/mcprec-6.13.jar").unlink()
        with pytest.raises(MissingDependencyError, match=r"there is no .*jar.*python -m minestudio.simulator.entry -y"):
            begin(WORLDS["minestudio"]())
        patch.setattr("rig.envs.minecraft.minestudio.refuse_missing_minestudio", lambda: None)
        with pytest.raises(RigError, match="MineStudio asks: 'Detecting missing simulator engine"):
            begin(WORLDS["minestudio"]())


@pytest.mark.parametrize(
    ("name", "spoil", "said"),
    [
        ("minestudio", ("java", "echo 'openjdk version \"17.0.1\"' >&2"), r"Java 8: 17\.0\.1.*openjdk=8"),
        ("minestudio", ("MINESTUDIO_GPU_RENDER", "1"), r"vglrun: not installed\. Either install VirtualGL"),
        ("minerl", ("DISPLAY", ""), r"DISPLAY is not set\. Mend: start rig behind `xvfb-run -a`"),
    ],
)
def test_whatever_is_missing_is_said_before_a_start(tmp_path, name, spoil, said):
    from minetest_makers import program

    with installed(tmp_path / "site", name) as patch:
        what, value = spoil
        if what == "java":
            first = tmp_path / "first"
            first.mkdir()
            program(first, "java", value)
            patch.setenv("PATH", f"{first}:{tmp_path / 'site'}:/usr/bin:/bin")
        else:
            patch.setenv(what, value)
        with pytest.raises(MissingDependencyError, match=said):
            begin(WORLDS[name]())


@pytest.mark.parametrize("frame", [None, np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_no_frame_is_the_engines_failure(frame):
    with pytest.raises(SimulatorError, match="in place of a frame"):
        tick_of(frame, {}, False)


def test_of_what_an_engine_tells_the_readable_part_is_read():
    told = {
        "inventory": {0: {"type": "minecraft:dirt", "quantity": np.array(3)}, 1: {"type": "sand"}, "oak_log": "many"},
        "mine_block": {"minecraft:oak_log": np.array(2.0), "stone": None, "sand": float("nan"), "clay": 0},
        "craft_item": 5,
        "player_pos": {"x": 1, "y": float("inf"), "z": 3, "yaw": np.float32(90)},
        "life_stats": {"life": np.array(19.5)},
        "isGuiOpen": np.bool_(True),
        None: {},
    }
    assert read_facts(told) == {
        "inventory": {"dirt": 3},
        "mined": {"oak_log": 2},
        "yaw": 90.0,
        "health": 19.5,
        "menu_open": True,
    }
    assert read_facts({}) == {}


def test_a_package_that_does_not_import_is_one_sentence(double, tmp_path):
    broken = {"minestudio": "minestudio/simulator/__init__.py", "minerl": "minerl/herobraine/hero/handlers.py"}
    (tmp_path / "site" / broken[double.name]).write_text("raise AttributeError('numpy has no such name')")
    with pytest.raises(MissingDependencyError, match=r"AttributeError: numpy has no such name.*anew: pip install"):
        begin(double)


def test_what_minestudio_prints_is_not_among_the_results(double, capsys):
    begin(double)
    assert capsys.readouterr().out == ""
