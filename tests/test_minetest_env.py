"""Minetest as a Gymnasium environment: the checker, sizes, save points, held actions."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from minetest_makers import FLAT, hold, make_env, needs_engine

from rig.envs.minetest import ENVIRONMENT_ID, FrameSkip, LikeMineRL
from rig.errors import RigError

pytestmark = needs_engine


@pytest.fixture(scope="module")
def env():
    env = make_env()
    yield env
    env.close()


def test_gymnasium_makes_it_and_its_checker_finds_nothing(recwarn):
    env = gym.make(ENVIRONMENT_ID, **FLAT, render_mode="rgb_array", disable_env_checker=True)
    check_env(env.unwrapped, skip_render_check=True)
    said = [str(one.message) for one in recwarn if "gymnasium" in str(one.filename)]
    assert all("symmetric and normalized space" in one for one in said), "the camera is in degrees, as MineRL's"
    assert env.unwrapped.render().shape == (64, 64, 3)
    env.close()
    with pytest.raises(RigError, match="call reset first"):
        env.unwrapped.step({})


@pytest.mark.parametrize("size", [(640, 360), (200, 100), (800, 600)])
def test_frames_have_the_size_that_was_asked_for(size):
    env = make_env(width=size[0], height=size[1])
    observation, _ = env.reset(seed=1)
    assert observation["pov"].shape == (size[1], size[0], 3)
    assert observation["pov"].dtype == np.uint8
    assert observation["pov"].std() > 10
    env.close()


def test_a_small_frame_is_the_mean_of_the_large_one():
    """Drawn alike but for the world's own resolution, which is 1 for both sizes here."""
    frames = {}
    for size in ((640, 360), (576, 324)):
        env = make_env(width=size[0], height=size[1])
        frames[size] = env.reset(seed=1)[0]["pov"].astype(float)
        env.close()
    large, small = frames[640, 360], frames[576, 324]
    assert small.mean((0, 1)) == pytest.approx(large.mean((0, 1)), abs=0.3)
    tenth = small.reshape(36, 9, 64, 9, 3).mean((1, 3)) - large.reshape(36, 10, 64, 10, 3).mean((1, 3))
    assert np.abs(tenth).max() < 1.5


def test_a_frame_drawn_at_its_own_size_has_no_hearts_in_the_way():
    def hearts(**display):
        env = make_env(width=128, height=128, view_range=16, **display)
        red, green, blue = np.moveaxis(env.reset(seed=5)[0]["pov"].astype(int), -1, 0)
        env.close()
        return int(((red > 180) & (green < 80) & (blue < 80))[64:].sum())

    assert hearts() > 20
    assert hearts(display_width=128, display_height=128) == 0


def test_a_save_point_brings_back_every_pixel_and_fact(env):
    """Saved while walking, turning and digging; loaded later, and in another environment."""
    env.reset(seed=4)
    hold(env, 1, camera=(50, 0))
    hold(env, 8, "forward", "jump", "attack", camera=(0, 4))
    state, frame, facts = env.save(), env.render(), env.privileged()

    def go_on(one):
        return [(one.step({"attack": 1, "left": 1, "camera": (-2, 3)})[0]["pov"], one.privileged()) for _ in range(25)]

    first = go_on(env)
    other = make_env()
    for one in (env, other):
        assert np.array_equal(one.load(state)["pov"], frame)
        assert one.privileged() == facts
        for (seen, known), (seen_again, known_again) in zip(first, go_on(one), strict=True):
            assert np.array_equal(seen, seen_again)
            assert known == known_again
    other.close()


def test_a_save_point_ahead_is_reached_without_a_new_engine(env):
    env.reset(seed=4)
    early = env.save()
    hold(env, 3, "forward")
    late, frame = env.save(), env.render()
    env.load(early)
    engine = env._engine
    assert np.array_equal(env.load(late)["pov"], frame)
    assert env._engine is engine


def test_gliding_changes_nothing_but_the_looking(env):
    env.reset(seed=4)
    state = env.save()
    looked = [hold(env, 1, "forward", camera=(0, 7)) for _ in range(10)][-1]
    frame = env.step({})[0]["pov"]
    env.load(state)
    assert [env.step_without_render({"forward": 1, "camera": (0, 7)}) for _ in range(10)] == [(0.0, False, False)] * 10
    assert env.privileged() == {**looked, "events": env.privileged()["events"]}
    glided = env.save()
    assert np.array_equal(env.step({})[0]["pov"], frame)
    env.load(state)
    env.load(glided)
    env.step_without_render({})
    there = env.save()
    assert np.array_equal(env.load(there)["pov"], frame), "a frame that was not drawn is drawn by load"


def test_sight_is_told_where_one_looks_and_is_the_same_whether_it_was_told_before(env):
    env.reset(seed=4)
    env.command({"name": "watch", "nodes": ["group:soil"], "radius": 4})
    state = env.save()
    walk = [{"forward": 1, "camera": (0, 7)}] * 8
    for action in walk:
        env.step_without_render(action, look=True)
    told = env.privileged()["sight"]
    assert told["wanted"]
    env.load(state)
    for action in walk[1:]:
        env.step_without_render(action)
        assert "sight" not in env.privileged()
    env.step_without_render(walk[0], look=True)
    assert env.privileged()["sight"] == told


def test_what_to_watch_for_must_be_named(env):
    env.reset(seed=4)
    with pytest.raises(RigError, match="list of names of nodes"):
        env.command({"name": "watch"})
    env.step_without_render({}, look=True)


def test_an_action_is_held_for_several_ticks_and_its_turn_shared_out(env):
    held = FrameSkip(env, 4)
    held.reset(seed=4)
    before = env.privileged()
    _, _, _, _, info = held.step({"forward": 1, "camera": (0, 5)})
    after = info["privileged"]
    assert after["tick"] - before["tick"] == 4
    assert after["yaw"] - before["yaw"] == pytest.approx(5, abs=0.021)
    with pytest.raises(RigError, match=r"FrameSkip.skip, the ticks of a step, is 0"):
        FrameSkip(env, 0)


def test_a_refused_command_is_told(env):
    env.reset(seed=4)
    with pytest.raises(RigError, match="unknown command flie"):
        env.command({"name": "flie"})
    with pytest.raises(RigError, match="is not JSON"):
        env.command({"name": "look", "yaw": np.float32(1)})
    with pytest.raises(RigError, match="unknown item default:tre"):
        env.command({"name": "inventory", "slots": [{"slot": 1, "item": "default:tre"}]})


def test_a_script_for_minerl_runs_as_it_is():
    env = LikeMineRL(**FLAT)
    env.seed(4)
    obs, done = env.reset(), False
    action = env.action_space.noop()
    action["forward"], action["camera"] = 1, [0, 5]
    for _ in range(3):
        obs, reward, done, info = env.step(action)
    assert obs["pov"].shape == (64, 64, 3)
    assert (reward, done) == (0.0, False)
    assert info["privileged"]["yaw"] == pytest.approx(15, abs=0.021)
    assert env.render() is obs["pov"]
    first = env.env.seed
    env.reset()
    assert (first, env.env.seed == first) == (4, False)
    env.close()


def test_gymnasium_runs_several_in_processes_of_their_own():
    envs = gym.make_vec(ENVIRONMENT_ID, num_envs=2, vectorization_mode="async", **FLAT)
    envs.reset(seed=[4, 4])
    still = {key: np.zeros_like(value) for key, value in envs.action_space.sample().items()}
    for pitch in (60, -120, 0):
        still["camera"][:, 0] = pitch
        observations, _, _, _, infos = envs.step(still)
        assert np.array_equal(*observations["pov"])
    assert list(infos["privileged"]["tick"]) == [infos["privileged"]["tick"][0]] * 2
    envs.close()
