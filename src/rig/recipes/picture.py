"""A moving picture of one decision: what was observed and thought, the dream beside what comes, the review, the end.

An episode is played by an agent, and played again to see what would have come of the plans that its reviews changed.
The picture shows the step in which a review gained most; a picture is chosen to show how the method works, so it says
nothing of how often it does. The letters are Pillow's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rig.actions import Action
from rig.agents import short_name
from rig.agents.checkpoint import has_learned_reviews
from rig.contact_sheets import cut_line, wrapped
from rig.envs import World, make_world
from rig.envs.rollout import Episode
from rig.errors import RigError
from rig.evaluate.config import BY_TEACHER, EmbodiedConfig
from rig.evaluate.embodied import environment_of, play_config
from rig.model.fit import unfit_frame
from rig.records import Frame, Step, Trajectory
from rig.storage import atomic_file
from rig.viewer.text import action_words

FORMATS = (".webp", ".gif", ".png")
"""What pictures may end with: two that move, and one that shows all of the decision at once."""

WIDTH, HEIGHT = 912, 608
_SIDE, _GAP, _MARGIN = 208, 18, 13
_HEAD, _LABEL, _TEXT, _LINE = 28, 25, 27, 35
_FRAMES = 96
"""Where frames begin, below the head and their labels."""
_LINES = 3
"""Of a thought, at the most."""

_INK, _PALE, _PAPER = "#1f2328", "#59636e", "#ffffff"
_PLAN, _REVIEW = "#9a5b00", "#0b6e3b"

_PAUSES = (500, 1200, 800, 700, 1300, 500)
"""Milliseconds from each part of the decision to the next one."""
_REST, _END = 600, 400
"""Milliseconds of the episode's further steps, all together, and of its last frame."""
_MOST_REST = 8


@dataclass(frozen=True, kw_only=True)
class TellingMoment:
    """A decision and what could have come of it.

    Attributes:
        step: the decision; it has a dream.
        planned: the frame that the plan really leads to.
        gain: how much more of the task the review's action brought than the plan would have.
        freed: the plan would have changed nothing in view, and the review's action did.
    """

    step: Step
    planned: Frame
    gain: float
    freed: bool

    @property
    def reviewed(self) -> bool:
        """Whether a review changed the plan."""
        return self.step.review is not None and self.step.action != self.step.proposal


def draw_episode(config: EmbodiedConfig, dreams: int | None, path: Path) -> TellingMoment:
    """Play the one episode of `config`, draw its most telling decision to `path`, and return that decision.

    Args:
        config: the agent, one task in one setting, one episode.
        dreams: n of the lookahead; None: 1 where the agent has learned reviews, else 0.
        path: the picture; its ending is one of `FORMATS`.

    Raises:
        RigError: the ending is another one, a teacher is to play, or not one episode is asked for.
        CheckpointError: the agent cannot be read.
    """
    check_ending(path)
    if config.agent.startswith(BY_TEACHER):
        raise RigError(f"{config.agent}: a teacher dreams nothing; name an agent's folder")
    count = int(has_learned_reviews(config.agent)) if dreams is None else dreams
    world = make_world(environment_of(config))
    cells = list(world.tasks.variants(config.tasks))
    if len(cells) != 1:
        named = ", ".join(f"{task.name}/{setting}" for task, setting in cells)
        raise RigError(f"a picture shows one episode, and {named} are {len(cells)}; name one with --tasks TASK/SETTING")
    config = replace(config, episodes=1, dreams=count, imagine=count == 0)
    trajectory = next(play_config(config)).trajectory
    try:
        moment = most_telling(world, trajectory)
    finally:
        world.close()
    name = f"{short_name(config.agent)}, n = {count}"
    return draw_moment(path, trajectory, moment, name)


def check_ending(path: Path) -> None:
    """Refuse a picture that ends with none of `FORMATS`.

    Raises:
        RigError: it does.
    """
    if path.suffix not in FORMATS:
        raise RigError(f"{path}: a picture ends with one of {', '.join(FORMATS)}")


def most_telling(world: World, trajectory: Trajectory) -> TellingMoment:
    """Return the decision whose review gained most; the first with a dream where no review changed anything.

    Raises:
        RigError: nothing was dreamed in the episode, or it does not go the same way again.
    """
    found = list(moments(world, trajectory))
    if not found:
        raise RigError(f"{trajectory.id}: nothing was dreamed in it; choose an agent that dreams")
    return max(found, key=lambda moment: (moment.reviewed, moment.gain, moment.freed))


def moments(world: World, trajectory: Trajectory) -> Iterator[TellingMoment]:
    """Yield the decisions that have a dream to show, with what really comes of their plans.

    Raises:
        RigError: the episode does not go the same way again.
    """
    episode = Episode(task=trajectory.task, setting=trajectory.setting, seed=trajectory.seed)
    frame, _ = episode.begin(world)
    for step in trajectory.steps:
        if not np.array_equal(frame, step.frame):
            raise RigError(f"{trajectory.id}: step {step.index} is another one when it is played again")
        plan = _plan_tried(world, step) if step.dreams and step.dreams[0].frame is not None else None
        frame, reward, *_ = world.act(step.action)
        if plan is not None:
            freed = np.array_equal(plan.frame, step.frame) and not np.array_equal(frame, step.frame)
            yield TellingMoment(step=step, planned=plan.frame, gain=reward - plan.reward, freed=freed)


class _Tried(NamedTuple):
    frame: Frame
    reward: float


def _plan_tried(world: World, step: Step) -> _Tried:
    """Return what the plan leads to in a fork of the world, which is then as it was."""
    state = world.save()
    frame, reward, *_ = world.act(step.proposal)
    world.load(state)
    return _Tried(frame, reward)


def draw_moment(path: Path, trajectory: Trajectory, moment: TellingMoment, name: str) -> TellingMoment:
    """Draw a decision of an episode to `path`, and return it; `name` says who plays."""
    later = trajectory.steps[moment.step.index + 1 :]
    after = later[0].frame if later else moment.step.next_frame
    assert after is not None, "a played step knows its next frame"
    page = _Page(trajectory, moment, after, name)
    parts = [page.draw(shown) for shown in range(1, page.parts + 1)]
    if path.suffix == ".png":
        _save(path, parts[-1:], [])
        return moment
    rest = [page.draw(page.parts, ahead=step) for step in _spread(later)]
    end = [page.draw(page.parts, ahead=trajectory.steps[-1], over=True)]
    pauses = [*_PAUSES[: len(parts)], *[_REST // max(1, len(rest))] * len(rest), _END]
    pauses[-1] += sum(_PAUSES) + _REST + _END - sum(pauses)  # six seconds in all, whatever there is to show
    _save(path, [*parts, *rest, *end], pauses)
    return moment


def _spread(steps: Sequence[Step]) -> list[Step]:
    """Return at most `_MOST_REST` of the steps, evenly spread."""
    chosen = np.linspace(0, len(steps) - 1, min(_MOST_REST, len(steps))).round()
    return [steps[int(index)] for index in chosen]


def _save(path: Path, pictures: Sequence[Image.Image], pauses: Sequence[int]) -> None:
    first, *others = pictures
    moving = {"save_all": True, "append_images": others, "duration": list(pauses), "loop": 0} if pauses else {}
    compact = {"quality": 80, "method": 4} if path.suffix == ".webp" else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        first.save(temporary, format=Image.registered_extensions()[path.suffix], **moving, **compact)


class _Slot(NamedTuple):
    """A frame's place: what stands above it, in which colour, and the frame, or None where there is none."""

    label: str
    ink: str
    frame: Frame | None


class _Page:
    """Draws a decision, part by part: observed, thought, dreamed, what would come, review, what came."""

    def __init__(self, trajectory: Trajectory, moment: TellingMoment, after: Frame, name: str) -> None:
        self._trajectory, self._moment, self._after, self._name = trajectory, moment, after, name
        self.parts = 6 if moment.step.review is not None else 4
        self._fonts = {size: ImageFont.load_default(size) for size in (_HEAD, _LABEL, _TEXT)}

    def draw(self, shown: int, *, ahead: Step | None = None, over: bool = False) -> Image.Image:
        """Return the page with its first `shown` parts.

        Args:
            shown: how many.
            ahead: a later step, whose frame is shown in the place of what came.
            over: show how the episode ended.
        """
        page = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
        draw = ImageDraw.Draw(page)
        self._head(draw)
        slots = self._slots(shown, ahead, over)
        for number, slot in enumerate(slots):
            self._frame(page, draw, _MARGIN + number * (_SIDE + _GAP), slot)
        top = _FRAMES + _SIDE + 14
        step = self._moment.step
        if shown >= 2:
            thought = step.dreams[0].thought
            self._said(draw, top, "thought", thought, f"plan: {self._words(step.proposal)}", _PLAN)
        if shown >= 5 and step.review is not None:
            top += (_LINES + 1) * _LINE + 6
            verdict = "plan changed to" if self._moment.reviewed else "plan kept"
            self._said(draw, top, "review", step.review.thought, f"{verdict}: {self._words(step.action)}", _REVIEW)
        return page

    def _head(self, draw: ImageDraw.ImageDraw) -> None:
        episode = self._trajectory
        head = f"{self._moment.step.instruction}  ·  {episode.environment}, step {self._moment.step.index + 1}"
        draw.text((_MARGIN, _MARGIN), head, fill=_INK, font=self._fonts[_HEAD])
        font = self._fonts[_LABEL]
        draw.text((WIDTH - _MARGIN - font.getlength(self._name), _MARGIN + 3), self._name, fill=_PALE, font=font)

    def _slots(self, shown: int, ahead: Step | None, over: bool) -> list[_Slot]:
        step = self._moment.step
        slots = [_Slot("observed", _INK, step.frame)]
        if shown >= 3:
            dreamed = step.dreams[0].frame
            assert dreamed is not None, "a moment has a dream"
            slots.append(_Slot("dreamed", _PLAN, unfit_frame(dreamed, *step.frame.shape[:2])))
        if shown >= 4:
            slots.append(
                _Slot("would have come" if self._moment.reviewed else "really came", _PLAN, self._moment.planned)
            )
        if shown >= 6 and self._moment.reviewed:
            slots.append(self._end(ahead, over))
        return slots

    def _end(self, ahead: Step | None, over: bool) -> _Slot:
        """Return the place that shows what came of the review, and then how the episode went on."""
        if over:
            last = self._trajectory.steps[-1]
            frame = last.next_frame if last.next_frame is not None else last.frame
            return _Slot("success" if self._trajectory.success else "no success", _REVIEW, frame)
        if ahead is not None:
            return _Slot(f"… step {ahead.index + 1}", _REVIEW, ahead.frame)
        return _Slot("really came", _REVIEW, self._after)

    def _frame(self, page: Image.Image, draw: ImageDraw.ImageDraw, left: int, slot: _Slot) -> None:
        if slot.frame is None:
            return
        label = cut_line(slot.label, self._fonts[_LABEL], _SIDE)
        draw.text((left, _FRAMES - 37), label, fill=slot.ink, font=self._fonts[_LABEL])
        shown = Image.fromarray(slot.frame).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        page.paste(shown, (left, _FRAMES))
        draw.rectangle((left - 3, _FRAMES - 3, left + _SIDE + 2, _FRAMES + _SIDE + 2), outline=slot.ink, width=3)

    def _said(self, draw: ImageDraw.ImageDraw, top: int, title: str, text: str | None, end: str, ink: str) -> None:
        font = self._fonts[_TEXT]
        lines = wrapped(text or "", font, WIDTH - 2 * _MARGIN - 12, most=_LINES)
        draw.text((_MARGIN, top), cut_line(f"{title} · {end}", font, WIDTH - 2 * _MARGIN), fill=ink, font=font)
        for number, line in enumerate(lines, 1):
            draw.text((_MARGIN + 12, top + number * _LINE), line, fill=_INK, font=font)

    def _words(self, action: Action) -> str:
        return action_words(action, self._trajectory.action_space)
