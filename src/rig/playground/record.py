"""Record: a person plays while time runs, and each episode becomes one of a dataset."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from rig.actions import NOOP, Action
from rig.actions.cameras import CameraRounding
from rig.envs import Split
from rig.errors import RigError
from rig.playground import messages as said
from rig.playground.hall import Hall
from rig.playground.shelf import Shelf
from rig.playground.takes import Take
from rig.playground.views import picture, refuse

USUAL_HERTZ = 10.0
"""Steps a second in a world that has no clock."""

_WIDEST = 180.0
"""Degrees that the mouse turns in a step at the most."""


@dataclass
class _Hands:
    """What is pressed.

    Attributes:
        held: what is down, in the order of pressing.
        tapped: what was pressed since the last step, and may be up again.
        turn: (pitch, yaw) that the mouse turned since then.
    """

    held: list[str] = field(default_factory=list)
    tapped: list[str] = field(default_factory=list)
    turn: tuple[float, float] = (0.0, 0.0)

    def hold(self, told: said.Keys) -> None:
        """Take what the page says is pressed now."""
        self.held = list(told.keys)
        self.tapped += [key for key in told.tapped if key not in self.tapped]
        self.turn = (self.turn[0] + told.turn[0], self.turn[1] + told.turn[1])

    def taken(self) -> tuple[list[str], tuple[float, float]]:
        """Return what a step is to press, the newest last, and by how much it is to turn; what was tapped is over."""
        pressed = [*self.held, *self.tapped]
        pitch, yaw = (max(-_WIDEST, min(_WIDEST, angle)) for angle in self.turn)
        self.tapped, self.turn = [], (0.0, 0.0)
        return pressed, (pitch, yaw)


class Record:
    """The view; see `rig.playground.views.ViewState`.

    Args:
        hall: the world.
        shelf: where episodes are kept.
        hertz: steps a second; 0 is as many as the world's clock has.
        clock: tells the seconds.
    """

    def __init__(
        self, hall: Hall, shelf: Shelf, hertz: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hall, self._shelf, self._clock = hall, shelf, clock
        self.hertz = hertz or (1 / hall.world.step_seconds if hall.world.step_seconds else USUAL_HERTZ)
        self._take: Take | None = None
        self._runs = self._waits = False
        self._due = 0.0
        self._hands = _Hands()
        self._camera = CameraRounding(hall.world.actions)

    def show(self) -> None:
        """Tell the page all of it."""
        self._tell_scene()
        self._tell_state()

    def hide(self) -> None:
        """Keep what was played: nobody plays on here."""
        self._keep()

    def close(self) -> None:
        """Keep what was played."""
        self._keep()

    def handle(self, told: said.Said) -> None:
        """Do what the page says.

        Raises:
            RigError: that cannot be done now.
        """
        match told:
            case said.Keys():
                self._hold(told)
                return
            case said.Record():
                self._run(told)
            case said.Keep():
                self._keep()
            case said.Drop():
                self._drop()
            case _:
                raise refuse(told, "record")
        self._tell_state()

    def wait(self) -> float | None:
        """Return the seconds until time goes on."""
        return max(0.0, self._due - self._clock()) if self._runs else None

    def go_on(self) -> None:
        """Do what the keys say, where they are due."""
        now = self._clock()
        if not self._runs or now < self._due:
            return
        self._due = max(self._due + 1 / self.hertz, now)  # what was late is not caught up with
        action = self._action()
        if self._waits and action == NOOP:
            return
        self._act(action)

    def _act(self, action: Action) -> None:
        assert self._take is not None
        try:
            self._take.act(action)
        except RigError:
            self._keep()
            raise
        self._tell_scene()
        if self._hall.scene.outcome:
            self._keep()
            self._tell_state()

    def _run(self, told: said.Record) -> None:
        if told.on and self._take is None:
            scene = self._hall.fresh(Split.TRAIN)
            self._take = self._shelf.begin(scene)
            self._camera = CameraRounding(self._hall.world.actions)
            self._tell_scene()
        self._runs, self._waits, self._due = told.on, told.waits, self._clock() + 1 / self.hertz
        self._hands = _Hands()

    def _hold(self, told: said.Keys) -> None:
        known = set(self._hall.world.actions.keys)
        strange = [key for key in (*told.keys, *told.tapped) if key not in known]
        if strange:
            raise RigError(f"the world has no key {strange[0]!r}")
        self._hands.hold(told)

    def _action(self) -> Action:
        """Return what the keys say: those that are down, and those that were since the step before."""
        (pressed, turn), space = self._hands.taken(), self._hall.world.actions
        keys = frozenset(pressed[-1:] if space.exclusive else pressed)
        return Action(keys=keys) if space.camera is None else self._camera.quantise(keys, turn)

    def _keep(self) -> None:
        take, self._take, self._runs = self._take, None, False
        if take is not None:
            self._shelf.keep(take)

    def _drop(self) -> None:
        take, self._take, self._runs = self._take, None, False
        if take is not None:
            self._shelf.drop(take)

    def _tell_scene(self) -> None:
        self._hall.tell("playing", frame=picture(self._hall.scene.frame), **self._hall.scene.told())

    def _tell_state(self) -> None:
        self._hall.tell(
            "recording",
            runs=self._runs,
            begun=self._take is not None,
            hertz=self.hertz,
            folder=str(self._shelf.folder),
            kept=[asdict(kept) for kept in self._shelf.kept[-20:]],
            count=len(self._shelf.kept),
        )
