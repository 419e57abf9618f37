"""Stock Minetest as a Gymnasium environment in lock-step, with MineRL's interface."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import gymnasium as gym
import numpy as np

from rig.envs.base import read_options
from rig.envs.minetest.anchors import SPACING, Anchors
from rig.envs.minetest.config import TICK_SECONDS, MinetestConfig, Point
from rig.envs.minetest.facts import privileged_facts
from rig.envs.minetest.keys import KeyboardAndMouse, read_action
from rig.envs.minetest.link import Reply, Request
from rig.envs.minetest.process import MinetestProcess, SimulatorError, start_engine
from rig.envs.minetest.savepoints import SavePoint, digest_of, read_save, write_save
from rig.envs.seeds import Split
from rig.errors import RigError
from rig.records import Frame
from rig.validation import Meta, fitting, refuse_unknown, shown

Observation = dict[str, Frame]
_Coordinate = Annotated[float, Meta(ge=-30_900, le=30_900)]
_Place = tuple[_Coordinate, _Coordinate, _Coordinate]
"""[x, y, z] in nodes, within the engine's largest world."""


class MinetestEnv(gym.Env):
    """The stock engine, one tick of 50 ms a step, however long the agent thinks.

    Observation: `{"pov": uint8 [height, width, 3]}`. Action: a mapping of MineRL's keys to 0 or 1, and `camera` [pitch,
    yaw] in degrees, down and right positive; what is left out is not pressed. The reward is 0: tasks give theirs. An
    episode ends when the player dies; where the engine fails it is truncated, and the next `reset` starts another.

    `info` holds `privileged` (see `privileged_facts`), `ignored_keys` (pressed, but not the engine's: see
    `rig.envs.minetest.keys`) and `settled` (True unless the tick took so long that it was not waited for).

    A seed and the actions give the same frames and states to the bit, in every process.

    Args:
        config: how the world looks.
        render_mode: "rgb_array" or None.

    Attributes:
        loads: how often `load` went "ahead" from where it was, "back" to an anchor, or started "anew".
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / TICK_SECONDS)}  # noqa: RUF012 - Gymnasium's own

    def __init__(self, config: MinetestConfig | None = None, *, render_mode: str | None = None) -> None:
        self.config = config or MinetestConfig()
        self.render_mode = render_mode
        self.action_space = KeyboardAndMouse()
        shape = (self.config.height, self.config.width, 3)
        self.observation_space = gym.spaces.Dict({"pov": gym.spaces.Box(0, 255, shape, np.uint8)})
        self.seed = 0
        self._spawn: Point | None = None
        self._engine: MinetestProcess | None = None
        self._way: list[bytes] = []
        self._anchors: Anchors
        self.loads: Counter[str] = Counter()
        self._frame: Frame = np.zeros(shape, np.uint8)
        self._seen = False
        self._facts: dict[str, Any] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start the world of `seed` anew; without one, the world of the next seed of this environment's own stream.

        Args:
            seed: of the world.
            options: "spawn", [x, y, z] where the player enters; without it, where the game has newcomers enter.

        Raises:
            RigError: the seed or an option is none; nothing has changed.
            SimulatorError: the engine did not start, after all attempts.
            MissingDependencyError: something that it needs is not installed; the message holds the command.
        """
        options = read_options(seed, options, ("spawn",))
        spawn = _spawn_of(options)
        super().reset(seed=seed)
        seed = int(self.np_random.integers(Split.TRAIN.stop)) if seed is None else seed
        self._start(seed, spawn)
        return {"pov": self._frame}, self._info(())

    def step(self, action: Mapping[str, Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Let one tick pass with `action`.

        Raises:
            ActionError: it names a key or a camera that MineRL does not have.
            RigError: there is no episode; `reset` begins one.
        """
        request, ignored = self._read(action)
        terminated, truncated, failure = self._tick(request, draw=True)
        return {"pov": self._frame}, 0.0, terminated, truncated, self._info(ignored) | failure

    def step_without_render(self, action: Mapping[str, Any], *, look: bool = False) -> tuple[float, bool, bool]:
        """Step without drawing: (reward, terminated, truncated). Several times as fast, and otherwise the same.

        Args:
            action: as in `step`.
            look: have the facts tell of `sight`, as those of a step do.
        """
        request, _ = self._read(action)
        return 0.0, *self._tick(request, draw=False, look=look)[:2]

    def command(self, *commands: Mapping[str, Any]) -> list[Any]:
        """Let one tick pass in which nothing is pressed and the mod carries out `commands`; return their answers.

        Each is a mapping with `name` and its arguments, such as `{"name": "teleport", "position": [0, 20, 0]}`: see
        `mod/commands.lua`. What a command changes about the player's view is seen a tick later.

        Raises:
            RigError: the mod refused a command, or it is not JSON.
            SimulatorError: the engine failed.
        """
        self._advance(Request(commands=tuple(map(_plain, commands))), draw=True)
        answers = self._running.reply.state["answers"]
        for asked, answer in zip(commands, answers, strict=True):
            if not answer["done"]:
                raise RigError(f"the engine refused the command {dict(asked)}: {answer['error']}")
        return [answer.get("value") for answer in answers]

    def save(self) -> bytes:
        """Return a save point: it leads to exactly this situation again, also in another process."""
        facts = digest_of(self._running.reply.state)
        return write_save(self.config, SavePoint(self.seed, self._spawn, self._way, facts))

    def load(self, state: bytes) -> Observation:
        """Go to a saved situation, and return what was observed there.

        Where the present episode is on the way there, it goes on; where it has been near by since the first load, it
        goes back; otherwise the engine starts anew. The rest of the way is repeated.

        Raises:
            RigError: `state` is of another kind of world.
            SimulatorError: the engine failed.
        """
        point = read_save(state, self.config)
        if not self._return_to(point):
            self.loads["anew"] += 1
            self._start(point.seed, point.spawn)
            self._walk(point.way)
        return {"pov": self._frame}

    def privileged(self) -> dict[str, Any]:
        """Return the facts of the current state."""
        return self._facts

    def render(self) -> Frame:
        """Return the last observed frame."""
        return self._frame

    def close(self) -> None:
        """End the engine and its display, and remove their files."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def _running(self) -> MinetestProcess:
        if self._engine is None:
            raise RigError("there is no episode in this Minetest environment; call reset first")
        return self._engine

    def _start(self, seed: int, spawn: Point | None) -> None:
        self.close()
        self._engine = start_engine(self.config, seed, spawn)
        self._anchors = Anchors(self._engine)
        self.seed, self._spawn, self._way = seed, spawn, []
        self._see(self._engine.reply, draw=True)
        if self.loads:
            self._anchors.keep_milestone(self._way, self._frame)

    def _return_to(self, point: SavePoint) -> bool:
        """Go to a save point without a new engine; return whether one is there, with the facts that it promises."""
        if self._engine is None or (point.seed, point.spawn) != (self.seed, self._spawn):
            return False
        try:
            kind = self._approach(point.way)
            if not kind:
                return False
            self._walk(point.way)
        except SimulatorError:
            return False
        if digest_of(self._engine.reply.state) != point.facts:
            return False
        self.loads[kind] += 1
        return True

    def _approach(self, way: list[bytes]) -> str:
        """Go back to somewhere on `way`, unless the present is nearer to its end; return which, "" where neither is."""
        done = len(self._way)
        is_on_it = self._way == way[:done] and (done < len(way) or self._seen)
        anchor = self._anchors.nearest(way)
        if is_on_it and (anchor is None or len(anchor.way) <= done):
            return "ahead"
        if anchor is None or not self._anchors.go_back(anchor):
            return ""
        self._way = list(anchor.way)
        self._see(anchor.reply, draw=False)
        if anchor.frame is not None:
            self._frame, self._seen = anchor.frame, True
        return "back"

    def _walk(self, way: list[bytes]) -> None:
        """Repeat what is left of `way`, and set anchors."""
        for index in range(len(self._way), len(way)):
            if index % SPACING == 0:
                self._anchors.keep_milestone(self._way, self._frame if self._seen else None)
            self._advance(Request.unpack(way[index]), draw=index == len(way) - 1)
        self._anchors.keep_last(self._way, self._frame)

    def _read(self, action: Mapping[str, Any]) -> tuple[Request, tuple[str, ...]]:
        menu_open = self._running.reply.menu_open
        return read_action(action, menu_open=menu_open, cursor_scale=self.config.cursor_pixels_per_degree)

    def _tick(self, request: Request, *, draw: bool, look: bool = False) -> tuple[bool, bool, dict[str, Any]]:
        """Return whether the player is dead, whether the engine failed, and what is to be said of the failure."""
        try:
            self._advance(request, draw=draw, look=look)
        except SimulatorError as error:
            return False, True, {"engine_failed": str(error)}
        return self._facts["health"] <= 0, False, {}

    def _advance(self, request: Request, *, draw: bool, look: bool = False) -> None:
        engine = self._running
        try:
            reply = engine.tick(request, draw=draw, look=look)
        except SimulatorError:
            self._engine = None
            raise
        self._way.append(request.pack())
        self._see(reply, draw=draw)

    def _see(self, reply: Reply, *, draw: bool) -> None:
        self._facts, self._seen = privileged_facts(reply), draw
        if draw:
            self._frame = self._running.frame()

    def _info(self, ignored: tuple[str, ...]) -> dict[str, Any]:
        settled = self._engine is not None and self._engine.reply.settled
        return {"privileged": self._facts, "ignored_keys": list(ignored), "settled": settled}


def _spawn_of(options: Mapping[str, Any]) -> Point | None:
    given = options.get("spawn")
    if given is None:
        return None
    point = fitting(
        given.tolist() if isinstance(given, np.ndarray) else given, _Place, "reset(options=…): the place 'spawn'"
    )
    return float(point[0]), float(point[1]), float(point[2])


def _plain(command: Mapping[str, Any]) -> dict[str, Any]:
    """Return a command as the engine and a save point will read it."""
    try:
        return json.loads(json.dumps(dict(command), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise RigError(
            f"the command {shown(command)} is not JSON ({error}); give plain numbers, texts and lists"
        ) from error


def make_minetest(*, render_mode: str | None = None, **settings: Any) -> MinetestEnv:
    """Build the environment for `gymnasium.make`; `settings` are fields of MinetestConfig.

    Raises:
        RigError: there is no such field, or it has another value than it can have.
    """
    refuse_unknown(settings, MinetestConfig.__dataclass_fields__, "MinetestConfig")
    return MinetestEnv(MinetestConfig(**settings), render_mode=render_mode)
