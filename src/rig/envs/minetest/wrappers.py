"""One decision for several ticks, and the older interface that MineRL's scripts are written for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, SupportsFloat

import gymnasium as gym

from rig.actions.native import read_mapping
from rig.envs.minetest.env import Observation, make_minetest
from rig.envs.minetest.keys import shared_out
from rig.validation import Meta, fitting


class FrameSkip(gym.Wrapper):
    """Holds every action for `skip` ticks; the camera's degrees are of all of them, and turn by equal shares.

    A cursor moves in the first tick. Rewards are added up, events of all ticks are in the last one's facts, and an
    episode that ends does so at once.

    Args:
        env: a Minetest environment, wrapped or not.
        skip: ticks of a step.

    Raises:
        RigError: `skip` is no whole number of at least 1.
    """

    def __init__(self, env: gym.Env, skip: int) -> None:
        fitting(skip, Annotated[int, Meta(ge=1)], "FrameSkip.skip, the ticks of a step,")
        super().__init__(env)
        self.skip = skip

    def step(self, action: Mapping[str, Any]) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Let `skip` ticks pass."""
        menu_open = self.env.unwrapped.privileged()["menu_open"]  # type: ignore[attr-defined]
        reward, events = 0.0, []
        for turn in shared_out(read_mapping(action).get("camera", (0.0, 0.0)), self.skip, menu_open=menu_open):
            observation, gained, terminated, truncated, info = self.env.step({**action, "camera": turn})
            reward += float(gained)
            events += info["privileged"]["events"]
            if terminated or truncated:
                break
        info["privileged"] = {**info["privileged"], "events": events}
        return observation, reward, terminated, truncated, info


class LikeMineRL:
    """The environment behind MineRL's own interface: `reset() -> obs`, `step -> (obs, reward, done, info)`, `seed(n)`.

    Args:
        settings: fields of MinetestConfig.
    """

    def __init__(self, **settings: Any) -> None:
        self.env = make_minetest(render_mode="rgb_array", **settings)
        self.action_space, self.observation_space = self.env.action_space, self.env.observation_space
        self._seed: int | None = None

    def seed(self, seed: int) -> None:
        """Choose the world of the next `reset`; those after it follow from it."""
        self._seed = seed

    def reset(self) -> Observation:
        """Start an episode, and return what is observed."""
        observation, _ = self.env.reset(seed=self._seed)
        self._seed = None
        return observation

    def step(self, action: Mapping[str, Any]) -> tuple[Observation, float, bool, dict[str, Any]]:
        """Let one tick pass."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated or truncated, info

    def render(self) -> Any:
        """Return the last observed frame; no window is opened."""
        return self.env.render()

    def close(self) -> None:
        """End the engine."""
        self.env.close()
