"""Episodes as a recording of Rerun's: frames, dreams, thoughts, judgements, reviews, actions, success on a timeline.

One recording holds all episodes, one behind the other on the timeline `decision`; `episode` and `step` say where one
is. What a decision does not have is cleared, so that no dream of the one before is taken for its own.

    instruction, thought, action    texts
    observed                        the frame; behind the last step what it led to
    dreams/1 … n                    an image for each dream of the plan that was followed; /said what was thought
                                    and done in it, /real what really came, where that is known
    plans/1 … k                     of several plans each: its last dream, /said, and what was made of it: /judgement,
                                    /score, /votes
    review                          what the review says
    reward, success                 numbers; success stands behind the last step
    log                             all texts, one below the other
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from warnings import catch_warnings

from PIL import Image

from rig.errors import RigError
from rig.model.fit import unfit_frame
from rig.records import Dream, Frame, Plan, Step, Trajectory
from rig.registry import require
from rig.storage import atomic_file
from rig.viewer.text import action_words, label

ENDING = ".rrd"
EXTRA = "rerun"
APPLICATION = "rig"
DECISION, EPISODE, STEP = "decision", "episode", "step"
"""The timelines."""

_CLEARED = ("dreams", "plans", "review", "thought", "action")
_LONGEST = 100_000
"""Characters of a text."""


def check_recording(path: Path) -> None:
    """Refuse what no recording can be written to, before anybody plays.

    Raises:
        RigError: the path does not end with `ENDING`.
        MissingDependencyError: rerun-sdk is not installed.
    """
    if path.suffix != ENDING:
        raise RigError(f"{path}: a recording of Rerun's ends with {ENDING}")
    require("rerun", EXTRA)


def write_recording(path: Path, trajectories: Iterable[Trajectory], *, title: str = APPLICATION) -> int:
    """Write episodes as a recording at `path`, and return how many decisions it has.

    Raises:
        RigError: the path does not end with `ENDING`, nothing is to be shown, or the disk is full.
        MissingDependencyError: rerun-sdk is not installed.
    """
    check_recording(path)
    with atomic_file(path) as file:
        writer = _Writer(file)
        for number, trajectory in enumerate(trajectories):
            writer.episode(number, trajectory)
        if not writer.decisions:
            raise RigError(f"{path}: there is no step to show")
        writer.finish(title)
    return writer.decisions


class _Writer:
    """A recording in the making; Rerun writes it from a thread of its own."""

    def __init__(self, file: Path) -> None:
        rerun: Any = require("rerun", EXTRA)
        self._rerun, self._file = rerun, file
        self._recording = rerun.RecordingStream(APPLICATION)
        self._recording.save(str(file))
        self._at = 0
        self._pictured: dict[str, None] = {}
        self._dreams = self._plans = 0
        self.decisions = 0

    def episode(self, number: int, trajectory: Trajectory) -> None:
        """Add an episode behind those before it."""
        for step in trajectory.steps:
            self._time(number, step.index)
            self._step(trajectory, step)
            self.decisions += 1
        if trajectory.steps:
            last = trajectory.steps[-1]
            self._time(number, last.index + 1)
            self._clear()
            self._image("observed", last.frame if last.next_frame is None else last.next_frame)
            self._number("success", float(bool(trajectory.success)))
            self._text("log", "success" if trajectory.success else "no success")

    def finish(self, title: str) -> None:
        """Add how it is to be shown, and see to it that all is in the file.

        Raises:
            RigError: it is not.
        """
        self._recording.send_recording_name(_clean(title))
        self._recording.send_blueprint(self._layout())
        self._recording.disconnect()
        self._check_whole()

    def _check_whole(self) -> None:
        """Read the index at the file's end: the thread that writes it tells nobody that the disk was full."""
        chunk: Any = require("rerun.chunk", EXTRA)
        try:
            with catch_warnings(action="ignore"):
                chunk.RrdReader(str(self._file)).store()
        except RuntimeError as error:
            why = " ".join(str(error).split())[:200]
            raise RigError(
                f"the recording is not whole, as on a full disk ({why}); make room, and try again"
            ) from error

    def _time(self, episode: int, step: int) -> None:
        for timeline, at in ((DECISION, self._at), (EPISODE, episode), (STEP, step)):
            self._recording.set_time(timeline, sequence=at)
        self._at += 1

    def _step(self, trajectory: Trajectory, step: Step) -> None:
        space = trajectory.action_space
        self._clear()
        self._image("observed", step.frame)
        self._say("instruction", f"{label(step.instruction or trajectory.task)}")
        self._say("thought", step.dreams[0].thought if step.dreams else step.thought)
        for number, dream in enumerate(step.dreams, 1):
            self._dream(f"dreams/{number}", dream, step.frame, space)
        for number, plan in enumerate(step.plans, 1):
            self._plan(f"plans/{number}", plan, step.frame, space, chosen=number - 1 == step.chosen)
        if step.review is not None:
            self._say("review", step.review.thought)
        self._say("action", action_words(step.action, space))
        self._number("reward", step.reward)
        self._dreams, self._plans = max(self._dreams, len(step.dreams)), max(self._plans, len(step.plans))

    def _dream(self, place: str, dream: Dream, observed: Frame, space: str) -> None:
        self._picture(place, dream.frame, observed)
        self._picture(f"{place}/real", dream.real_frame, observed)
        self._say(f"{place}/said", _joined(dream.thought, action_words(dream.action, space)))

    def _plan(self, place: str, plan: Plan, observed: Frame, space: str, *, chosen: bool) -> None:
        words = action_words(plan.action, space)
        worth = plan.judgement or (None if plan.score is None else f"{plan.score:.2g}")
        self._say(f"{place}/said", _joined(plan.thought, f"{words} (chosen)" if chosen else words, worth))
        self._say(f"{place}/judgement", plan.judgement)
        self._number(f"{place}/votes", plan.votes)
        if plan.score is not None:
            self._number(f"{place}/score", plan.score)
        if plan.dreams:
            self._picture(place, plan.dreams[-1].frame, observed)

    def _clear(self) -> None:
        for place in _CLEARED:
            self._log(place, self._rerun.Clear(recursive=True))
        for place in self._pictured:  # viewers go on showing an image that is cleared with its parent
            self._log(place, self._rerun.EncodedImage.cleared())

    def _picture(self, place: str, frame: Frame | None, observed: Frame) -> None:
        if frame is not None:
            self._pictured[place] = None
            self._image(place, unfit_frame(frame, *observed.shape[:2]))

    def _image(self, place: str, frame: Frame) -> None:
        data = io.BytesIO()
        Image.fromarray(frame).save(data, format="PNG")
        self._log(place, self._rerun.EncodedImage(contents=data.getvalue(), media_type="image/png"))

    def _say(self, place: str, text: str | None) -> None:
        """Add a text, where there is one, to its place and to the log."""
        if text:
            self._log(place, self._rerun.TextDocument(_clean(text)))
            self._text("log", f"{place}: {text}")

    def _text(self, place: str, text: str) -> None:
        self._log(place, self._rerun.TextLog(_clean(text)))

    def _number(self, place: str, value: float) -> None:
        self._log(place, self._rerun.Scalars(float(value)))

    def _log(self, place: str, value: Any) -> None:
        self._recording.log(place, value, strict=True)

    def _layout(self) -> Any:
        """Return how a viewer shows it at first: what is seen and dreamed above what is said, numbers at the foot."""
        views: Any = require("rerun.blueprint", EXTRA)
        pictures = [views.Spatial2DView(origin="/observed", name="observed"), *self._pictures(views)]
        texts = [
            views.TextDocumentView(origin=f"/{name}", name=name)
            for name in ("instruction", "thought", "review", "action")
        ]
        numbers = [views.TimeSeriesView(origin=f"/{name}", name=name) for name in ("reward", "success")]
        return views.Blueprint(
            views.Vertical(
                views.Horizontal(*pictures),
                views.Horizontal(*texts),
                views.Horizontal(views.TextLogView(origin="/log", name="log"), *numbers),
                row_shares=[3, 2, 1],
            ),
            views.TimePanel(timeline=DECISION),
        )

    def _pictures(self, views: Any) -> Iterator[Any]:
        many = "plans" if self._plans else "dreams"
        for number in range(1, (self._plans or self._dreams) + 1):
            place = f"/{many}/{number}"
            yield views.Vertical(
                views.Spatial2DView(origin=place, contents=[place], name=f"{many[:-1]} {number}"),
                views.TextDocumentView(origin=f"{place}/said", name="said"),
                row_shares=[3, 1],
            )


def _joined(*texts: str | None) -> str:
    return "\n\n".join(filter(None, texts))


def _clean(text: str) -> str:
    """Return a text that UTF-8 can hold, and that is not too long to show."""
    return text[:_LONGEST].encode("utf-8", "replace").decode()
