"""A step of a dataset on its card: what was seen, thought, dreamed, reviewed and done, and what came of it."""

from __future__ import annotations

from rig.actions import ActionSpace
from rig.model.fit import fit_within
from rig.records import Dream, Frame, Step, Trajectory
from rig.viewer.markup import Child, Markup, element, joined
from rig.viewer.payload import FrameStore
from rig.viewer.text import label, passage

_LONGEST_SIDE = 320
_TEXT = 2_000


def sample(trajectory: Trajectory, position: int, space: ActionSpace) -> Markup:
    """Return a step as part of a page; `space` is that of its actions."""
    step = trajectory.steps[position]
    won = "accomplished" if trajectory.success else "not accomplished"
    where = (
        f"{label(trajectory.task)}/{label(trajectory.setting)}, seed {trajectory.seed}, step {step.index + 1} of an "
        f"episode that was {won}; by {label(step.actor)}"
    )
    parts = _lookahead(step, space) if step.dreams or step.review else _answer(step, space)
    return element("article", element("h3", label(step.instruction)), element("p", where, class_="soft"), *parts)


def _answer(step: Step, space: ActionSpace) -> list[Markup]:
    return [
        _row(_figure(step.frame, "seen"), _figure(step.next_frame, "what came")),
        _thought("Thought", step.thought),
        _done(label(space.format(step.action))),
    ]


def _lookahead(step: Step, space: ActionSpace) -> list[Markup]:
    first = step.dreams[0].thought if step.dreams else None
    after = [figure for number, dream in enumerate(step.dreams, 1) for figure in _dreamed(dream, number, space)]
    parts = [
        _thought("First thought", first),
        _row(_figure(step.frame, "seen"), *after, _figure(step.next_frame, "what came in the end")),
    ]
    if step.review is not None:
        changed = f"changed from {label(space.format(step.proposal))}" if step.review.helped else "the plan is kept"
        parts += [_thought("Review", step.review.thought), _done(label(space.format(step.review.action)), changed)]
    return parts


def _dreamed(dream: Dream, number: int, space: ActionSpace) -> list[Markup]:
    told = f"dream {number}: {label(space.format(dream.action))}"
    shown = [_figure(dream.frame, told)] if dream.frame is not None else []
    return [*shown, *([_figure(dream.real_frame, f"really, after {number}")] if dream.real_frame is not None else [])]


def _row(*figures: Markup) -> Markup:
    return element("div", *figures, class_="film")


def _figure(frame: Frame | None, caption: str) -> Markup:
    if frame is None:
        return Markup("")
    store = FrameStore()
    height, width = frame.shape[:2]
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    store.add(fit_within(frame, max(1, round(height * scale)), max(1, round(width * scale))), caption)
    image = element("img", src=f"data:image/png;base64,{store.images[0]}", alt=caption, width=width, height=height)
    return element("figure", image, element("figcaption", caption))


def _thought(heading: str, text: str | None) -> Markup:
    if text is None:
        return Markup("")
    found = passage(text, _TEXT)
    left = [element("li", f"… and {found['left']:,} more characters", class_="soft")] if found["left"] else []
    clauses = [element("li", clause) for clause in found["clauses"]]
    return joined([element("h4", heading), element("ul", *clauses, *left)])


def _done(action: str, told: str = "") -> Markup:
    more: list[Child] = [element("span", told, class_="soft")] if told else []
    return element("p", element("strong", "→ "), element("code", action), " ", *more, class_="done")
