"""Episodes as a video: at each step the frame, what was thought, dreamed, judged, reviewed and done.

What was dreamed stands beside the frame: the dreams of one plan, first to last, or the last dream of each of several
plans with what was made of it. The letters are Pillow's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rig.contact_sheets import cut_line, wrapped
from rig.data.video_encoding import write_video
from rig.errors import RigError
from rig.model.fit import unfit_frame
from rig.records import Dream, Frame, Plan, Step, Trajectory
from rig.viewer.text import action_words, label

WIDTH, HEIGHT = 1280, 720
ENDING = ".mp4"
STEPS_A_SECOND = 2.0
END_STEPS = 3
"""How many steps' time is given to what an episode came to."""

SIDE, DREAM_SIDE = 440, 216
"""Of the observed frame, and of a dream; frames that are not square are brought into a square."""
LEFT, TOP = 24, 64
"""Where the observed frame begins."""
DREAMS_LEFT, _GAP, _LABEL = LEFT + SIDE + 40, 20, 28
_COLUMNS, _MOST = 3, 6
_TEXT_TOP, _LINE = TOP + 2 * (DREAM_SIDE + _LABEL + 8) + 20, 26
_HEAD, _WORDS, _SMALL = 26, 20, 18
_LINES, _READ = 3, 1000
"""Of a text at the most, and the characters that are looked at."""

_INK, _PALE, _PAPER, _CHOSEN, _REVIEW = "#1f2328", "#59636e", "#ffffff", "#0b6e3b", "#9a5b00"


class Slot(NamedTuple):
    """A dream's place: what is said of it, its frame, and whether it is of the plan that was chosen."""

    said: str
    frame: Frame
    chosen: bool


def write_film(path: Path, trajectories: Iterable[Trajectory], *, steps_a_second: float = STEPS_A_SECOND) -> int:
    """Write episodes one after the other as a video at `path`, and return how many pictures it has.

    Raises:
        RigError: the path does not end with `ENDING`, nothing is to be shown, or so many steps a second cannot be.
        MissingDependencyError: PyAV is not installed.
    """
    check_film(path, steps_a_second)
    return write_video(path, (picture for episode in trajectories for picture in pictures(episode)), steps_a_second)


def check_film(path: Path, steps_a_second: float = STEPS_A_SECOND) -> None:
    """Refuse what no video can be written to, before anybody plays.

    Raises:
        RigError: the path does not end with `ENDING`, or so many steps a second cannot be.
    """
    if path.suffix != ENDING:
        raise RigError(f"{path}: a video ends with {ENDING}")
    if not 0 < steps_a_second <= 60:
        raise RigError(f"{steps_a_second:g} steps a second: a video shows more than none, and 60 at the most")


def pictures(trajectory: Trajectory) -> Iterator[Frame]:
    """Yield a picture of each step, uint8 [`HEIGHT`, `WIDTH`, 3], and `END_STEPS` times one of the end."""
    for step in trajectory.steps:
        yield _picture(trajectory, step)
    if trajectory.steps:
        yield from [_end(trajectory)] * END_STEPS


def slots(step: Step, space: str) -> list[Slot]:
    """Return what was dreamed at a step, as far as it was drawn: of each plan its last dream, or of one plan all."""
    if len(step.plans) > 1:
        found = [
            (plan, plan.dreams[-1], number == step.chosen) for number, plan in enumerate(step.plans) if plan.dreams
        ]
        return [
            Slot(_said_of(plan, space), dream.frame, is_it) for plan, dream, is_it in found if dream.frame is not None
        ]
    shown = enumerate(step.dreams, 1)
    return [Slot(_named(number, dream, space), dream.frame, True) for number, dream in shown if dream.frame is not None]


def _said_of(plan: Plan, space: str) -> str:
    worth = plan.judgement or ("" if plan.score is None else f"{plan.score:.2g}")
    return "  ".join(filter(None, (action_words(plan.action, space), worth)))


def _named(number: int, dream: Dream, space: str) -> str:
    return f"dream {number}: {action_words(dream.action, space)}"


def _picture(trajectory: Trajectory, step: Step) -> Frame:
    page = _Page(trajectory, f"step {step.index + 1}")
    page.frame((LEFT, TOP), SIDE, step.frame)
    for number, slot in enumerate(slots(step, trajectory.action_space)[:_MOST]):
        page.dream(number, slot, step.frame)
    page.say("thought", step.dreams[0].thought if step.dreams else step.thought, _INK)
    if step.review is not None:
        page.say("review", step.review.thought, _REVIEW)
    page.say("does", action_words(step.action, trajectory.action_space), _CHOSEN)
    return page.pixels


def _end(trajectory: Trajectory) -> Frame:
    last = trajectory.steps[-1]
    page = _Page(trajectory, "success" if trajectory.success else "no success")
    page.frame((LEFT, TOP), SIDE, last.frame if last.next_frame is None else last.next_frame)
    return page.pixels


class _Page:
    """One picture in the making; texts go one below the other."""

    def __init__(self, trajectory: Trajectory, where: str) -> None:
        self._image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._fonts = {size: ImageFont.load_default(size) for size in (_HEAD, _WORDS, _SMALL)}
        self._top = _TEXT_TOP
        instruction = trajectory.steps[0].instruction or trajectory.task
        head = f"{label(instruction)}  ·  {trajectory.environment}, {trajectory.task}/{trajectory.setting}  ·  {where}"
        self._write((LEFT, 18), head, _HEAD, WIDTH - 2 * LEFT, _INK)

    @property
    def pixels(self) -> Frame:
        return np.asarray(self._image)

    def frame(self, place: tuple[int, int], side: int, frame: Frame) -> None:
        """Put a frame into a square."""
        height, width = frame.shape[:2]
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        enlarged = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
        self._image.paste(Image.fromarray(frame).resize(size, enlarged), place)

    def dream(self, number: int, slot: Slot, observed: Frame) -> None:
        """Put a dream beside the frame, framed where its plan was chosen."""
        row, column = divmod(number, _COLUMNS)
        left = DREAMS_LEFT + column * (DREAM_SIDE + _GAP)
        top = TOP + row * (DREAM_SIDE + _LABEL + 8)
        ink = _CHOSEN if slot.chosen else _PALE
        self._write((left, top), slot.said, _SMALL, DREAM_SIDE, ink)
        self.frame((left, top + _LABEL), DREAM_SIDE, unfit_frame(slot.frame, *observed.shape[:2]))
        if slot.chosen:
            edge = (left - 3, top + _LABEL - 3, left + DREAM_SIDE + 2, top + _LABEL + DREAM_SIDE + 2)
            self._draw.rectangle(edge, outline=ink, width=3)

    def say(self, title: str, text: str | None, ink: str) -> None:
        """Write a text below what is there, where there is one."""
        if not text:
            return
        font, width = self._fonts[_WORDS], WIDTH - 2 * LEFT - 110
        self._write((LEFT, self._top), title, _WORDS, 100, _PALE)
        for line in wrapped(text[:_READ], font, width, most=_LINES):
            self._draw.text((LEFT + 110, self._top), line, fill=ink, font=font)
            self._top += _LINE
        self._top += 4

    def _write(self, place: tuple[int, int], text: str, size: int, width: int, ink: str) -> None:
        self._draw.text(place, cut_line(text, self._fonts[size], width), fill=ink, font=self._fonts[size])
