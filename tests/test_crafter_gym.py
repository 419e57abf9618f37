"""Crafter under a Gymnasium id: as Gymnasium's own checker wants it, one or several, each task."""

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import rig.envs
from rig.errors import RigError, UnknownNameError


def test_gymnasiums_checker_passes():
    check_env(gymnasium.make(rig.envs.CRAFTER_ID, task="place_table").unwrapped, skip_render_check=True)


def test_any_seed_begins_and_the_same_one_begins_alike():
    first, second = (gymnasium.make("rig/Crafter-v0", task="collect_iron") for _ in range(2))
    for seed in (0, 1, 2):
        (one, _), (other, _) = first.reset(seed=seed), second.reset(seed=seed)
        assert np.array_equal(one, other)
    assert first.unwrapped.setting == "manual"


def test_several_play_beside_each_other():
    several = gymnasium.make_vec("rig/Crafter-v0", num_envs=2, vectorization_mode="sync", task="place_table")
    frames, _ = several.reset(seed=3)
    assert frames.shape == (2, 144, 144, 3)
    frames, rewards, *_ = several.step(several.action_space.sample())
    assert rewards.shape == (2,)
    several.close()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"task": "colect_wood"}, UnknownNameError),
        ({"task": "collect_iron", "setting": "tool"}, UnknownNameError),
        ({"render_mode": "human"}, RigError),
    ],
)
def test_what_there_is_not_is_refused(settings, error):
    with pytest.raises(error):
        gymnasium.make("rig/Crafter-v0", **settings)


def test_a_seed_of_no_split_is_refused():
    with pytest.raises(RigError, match="belongs to no split"):
        gymnasium.make("rig/Crafter-v0").unwrapped.reset(seed=2**40)
