"""The action files of VPT's contractors, a line of JSON for each frame, with all that is peculiar about them.

* Turns are in pixels of the mouse, 2,400 of them a full turn. While a menu is open some versions of the recorder count
  twice or half as many (`MENU_SCALES`).
* The button of attack may be down from the first line without anybody pressing it, until somebody does.
* The slot of the hotbar is written, not the wheel that changes it: a change is the key of that slot. Versions before
  6.11 write neither.
* Escape that is pressed while a menu is open closes it, as the inventory's key does; in MineRL it ends the episode, so
  it becomes that key for as long as it is held. Elsewhere it stays what it is, though a menu opens.
* A tick of the game is left out where the recorder came too late, and written twice where the game did. A line of the
  same tick is no step; where ticks are left out behind a step, the next frame does not show what it alone did, and is
  not kept as its next frame. Ticks of the server, which falls behind and catches up, are counted and change nothing.
* The mouse or the keyboard may be null: nothing was pressed.
* What does nothing on the space's grid is a null action. Most of a recording is that, and VPT trained without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Annotated, Any

from rig.actions import MINERL, NOOP, Action
from rig.actions.cameras import MAX_TURN, CameraRounding
from rig.data.importers.moments import Moment
from rig.data.importers.report import ImportReport
from rig.data.problems import Skipped
from rig.errors import DatasetError
from rig.validation import Meta, parse_json, validated

FIX = "fetch the recording once more, or take it away"

DEGREES_PER_PIXEL = 360 / 2400
LINES = 720
"""The height of the window that positions of the mouse are in."""
MENU_SCALES = {"5.7": 0.5, "5.8": 0.5, "6.7": 2.0, "6.8": 2.0, "6.9": 2.0}
"""The recorder's version -> what its movements of the mouse are multiplied by while a menu is open."""
KEYS = {
    "w": "forward",
    "s": "back",
    "a": "left",
    "d": "right",
    "space": "jump",
    "left.shift": "sneak",
    "left.control": "sprint",
    "q": "drop",
    "e": "inventory",
    "f": "swapHands",
    "escape": "ESC",
    **{str(slot): f"hotbar.{slot}" for slot in range(1, 10)},
}
"""A key's name behind `key.keyboard.` -> the action space's."""
BUTTONS = {0: "attack", 1: "use", 2: "pickItem"}

MAX_LINE = 1 << 20
"""The longest line, in bytes."""
_PREFIX = "key.keyboard."
_FARTHEST = MAX_TURN / DEGREES_PER_PIXEL
Pixels = Annotated[float, Meta(ge=-_FARTHEST, le=_FARTHEST)]
Place = Annotated[float, Meta(ge=-1e9, le=1e9)]
Name = Annotated[str, Meta(max_length=200)]
Tick = Annotated[int, Meta(ge=0, le=2**62)]


@dataclass(frozen=True, kw_only=True)
class Mouse:
    """What a line says of the mouse."""

    x: Place = 0.0
    y: Place = 0.0
    dx: Pixels = 0.0
    dy: Pixels = 0.0
    buttons: list[int] = field(default_factory=list)
    newButtons: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Keyboard:
    """What a line says of the keyboard."""

    keys: list[Name] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What lies in a slot of the inventory."""

    type: Name
    quantity: Annotated[int, Meta(ge=0, le=2**31)]


@dataclass(frozen=True, kw_only=True)
class Line:
    """What a line says, as far as it is needed; it holds more, by its version, that is not looked at."""

    mouse: Mouse | None
    keyboard: Keyboard | None
    isGuiOpen: bool = False
    hotbar: Annotated[int, Meta(ge=0, le=8)] | None = None
    tick: Tick | None = None
    serverTick: Tick | None = None
    inventory: list[Stack] = field(default_factory=list)
    xpos: Place | None = None
    ypos: Place | None = None
    zpos: Place | None = None
    yaw: Place | None = None
    pitch: Place | None = None

    def facts(self) -> dict[str, Any]:
        """Return what the game knew: the inventory, where the player stood and looked, whether a menu was open."""
        counts: dict[str, int] = {}
        for stack in self.inventory:
            counts[stack.type] = counts.get(stack.type, 0) + stack.quantity
        found = {name: getattr(self, name) for name in ("xpos", "ypos", "zpos", "yaw", "pitch")}
        known = {name: value for name, value in found.items() if value is not None}
        return {"inventory": counts, "is_gui_open": self.isGuiOpen, **known}


def read_lines(path: Path, frames: int, report: ImportReport, skipped: list[Skipped] | None) -> Iterator[Line | None]:
    """Yield the lines of an action file, as many as there are frames; None for one that is malformed and left out.

    Raises:
        DatasetError: one is malformed and nothing may be left out; file and line are named.
    """
    with path.open("rb") as file:
        for number in range(1, frames + 1):
            text = file.readline(MAX_LINE)
            if not text:
                return
            try:
                yield _line_of(text, f"{path}:{number}")
            except DatasetError as error:
                if skipped is None:
                    raise
                skipped.append(Skipped(place=f"{path}:{number}", reason=str(error)))
                _finish_line(text, file)
                yield None
        while text := file.readline(MAX_LINE):
            _finish_line(text, file)
            report.add("steps", "no frame")


def _finish_line(text: bytes, file: IO[bytes]) -> None:
    """Read on to the end of a line that is longer than `MAX_LINE`."""
    while text and not text.endswith(b"\n"):
        text = file.readline(MAX_LINE)


def _line_of(text: bytes, place: str) -> Line:
    if len(text) == MAX_LINE and not text.endswith(b"\n"):
        raise DatasetError(f"{place} is longer than {MAX_LINE} bytes; {FIX}")
    value = parse_json(text, place, FIX, DatasetError)
    return validated(value, Line, place, FIX, DatasetError, others=True)


class Hands:
    """Makes actions of the lines of one recording, in their order.

    Args:
        version: the recorder's, such as "6.9"; empty where nobody knows.
        report: where what is mended and lost is counted.

    Attributes:
        cameras: what became of the turns so far.
    """

    def __init__(self, version: str, report: ImportReport) -> None:
        self.cameras = CameraRounding(MINERL)
        self._menu_scale = MENU_SCALES.get(version, 1.0)
        self._report = report
        self._before: Line | None = None
        self._is_stuck = False
        self._escape: str | None = None

    def action(self, line: Line) -> Action:
        """Return what was done, on the grid."""
        mouse, keyboard = line.mouse or Mouse(), line.keyboard or Keyboard()
        self._report.add("mended", "mouse or keyboard that was recorded as null", not (line.mouse and line.keyboard))
        keys = self._buttons(mouse) | self._pressed(keyboard, line) | self._slot(line)
        for key in sorted(keys - set(MINERL.keys)):
            self._report.add("keys", key)
        self._before = line
        scale = DEGREES_PER_PIXEL * (self._menu_scale if line.isGuiOpen else 1.0)
        return self.cameras.quantise(frozenset(keys & set(MINERL.keys)), (mouse.dy * scale, mouse.dx * scale))

    def _buttons(self, mouse: Mouse) -> set[str]:
        pressed = set(mouse.buttons)
        if self._before is None:
            self._is_stuck = mouse.newButtons == [0]
        elif 0 in mouse.newButtons:
            self._is_stuck = False
        if self._is_stuck and 0 in pressed:
            pressed.remove(0)
            self._report.add("mended", "attack that was stuck down")
        return {BUTTONS.get(button, f"mouse button {button}") for button in pressed}

    def _pressed(self, keyboard: Keyboard, line: Line) -> set[str]:
        keys = {KEYS.get(key.removeprefix(_PREFIX), key) for key in keyboard.keys}
        if "ESC" not in keys:
            self._escape = None
            return keys
        if self._escape is None:
            before = self._before or line
            self._escape = "inventory" if before.isGuiOpen else "ESC"
        self._report.add("mended", "escape that closes a menu", self._escape != "ESC")
        return keys - {"ESC"} | {self._escape}

    def _slot(self, line: Line) -> set[str]:
        before = self._before.hotbar if self._before is not None else None
        return set() if before is None or line.hotbar in (None, before) else {f"hotbar.{line.hotbar + 1}"}


class Segment:
    """A recording in the making: its lines come one by one, and moments are made of them.

    Args:
        frames: how many frames the video has, the n-th for the n-th line.
        version: the recorder's.
        keeps_null: whether null actions are steps. Where they are none, it is as if their ticks had not been: what was
            done before a step is what the last step that is kept did.
        report: where what is lost and mended is counted.

    Attributes:
        moments: the steps so far.
        cursors: where the mouse stands, in the recorder's window, in those frames that show a menu: column and line.
    """

    def __init__(self, frames: int, version: str, *, keeps_null: bool, report: ImportReport) -> None:
        self.moments: list[Moment] = []
        self.cursors: dict[int, tuple[float, float]] = {}
        self._frames, self._keeps_null, self._report = frames, keeps_null, report
        self._hands = Hands(version, report)
        self._last: Line | None = None
        self._waiting: Moment | None = None
        self._before: Action | None = NOOP

    def add(self, index: int, line: Line | None) -> None:
        """Take in the next line; None stands for one that is malformed."""
        if line is None:
            self._report.add("steps", "malformed line")
            self._follow(index)
            self._last = self._before = None
            return
        if self._passed(line) == 0:
            self._report.add("ticks", "doubled")
            return
        self._note_ticks(line)
        self._follow(index if self._passed(line) in (None, 1) else None)
        if line.isGuiOpen and line.mouse:
            self.cursors[index] = line.mouse.x, line.mouse.y
        self._act(index, line)
        self._last = line

    def finish(self, lines: int) -> None:
        """Settle what waits for the frame behind the last line, and count what the turns lost."""
        self._follow(lines)
        self._report.add("frames", "without a line", max(0, self._frames - lines - 1))
        self._report.add_cameras(self._hands.cameras)

    def _act(self, index: int, line: Line) -> None:
        action, before = self._hands.action(line), self._before
        if action == NOOP and not self._keeps_null:
            self._report.add("steps", "null action")
            return
        self._before = action
        if before is None:
            self._report.add("steps", "unknown previous action")
            return
        facts = self._shared(line.facts())
        self._waiting = Moment(
            index=index, frame=index, action=action, next_frame=None, previous_action=before, privileged=facts
        )

    def _shared(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Return facts that share their inventory with those of the step before, where it is the same."""
        known = self.moments[-1].privileged["inventory"] if self.moments else None
        return facts | {"inventory": known} if known == facts["inventory"] else facts

    def _follow(self, frame: int | None) -> None:
        """Settle the step that waits: `frame` shows what came of it, if there is one."""
        if self._waiting is not None:
            is_there = frame is not None and frame < self._frames
            self.moments.append(replace(self._waiting, next_frame=frame if is_there else None))
            self._waiting = None

    def _passed(self, line: Line) -> int | None:
        """Return how many ticks passed since the last line; None where nobody knows."""
        if self._last is None or self._last.tick is None or line.tick is None:
            return None
        return line.tick - self._last.tick

    def _note_ticks(self, line: Line) -> None:
        """Count the ticks that are left out, by the player's game and by the server, which may fall behind."""
        passed = self._passed(line)
        if passed is not None and passed != 1:
            self._report.add("ticks", "dropped" if passed > 1 else "out of order", max(1, passed - 1))
        if self._last is not None and self._last.serverTick is not None and line.serverTick is not None:
            served = line.serverTick - self._last.serverTick
            self._report.add("ticks", "server stood still", served == 0)
            self._report.add("ticks", "server caught up", max(0, served - 1))
