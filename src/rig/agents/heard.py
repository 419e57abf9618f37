"""A decision that is listened to while it is made, and in which thoughts can be given in the place of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from rig.agents.said import Said
from rig.agents.state import DecisionState
from rig.dialogue import PromptFormat, SegmentEncoder, judgement_text, think
from rig.engine import ActionConstraint, Constraint, Conversation, GenerateText, ThoughtConstraint
from rig.errors import RigError
from rig.records import Dream, Plan
from rig.validation import is_unicode

T = TypeVar("T")

_HALF = "\ufffd"
"""Half of a character is read so, until its other half is written."""

Part = Literal["thought", "action", "dreaming", "dream", "plan", "judgement"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Heard:
    """Something of a decision, as it comes.

    Attributes:
        part: what it is. "dreaming" is the beginning of a dream, "plan" one that is gone into in a fork of its own.
        way: which fork says it: "" the conversation itself, "2.0" the first way of its second fork.
        depth: the dreams before it.
        review: whether it is of the review.
        text: of a thought, an action or a judgement what is written so far; of a dream or a plan its action.
        is_whole: whether nothing more of it comes.
        dream: a dream that has come.
    """

    part: Part
    way: str
    depth: int
    review: bool
    text: str = ""
    is_whole: bool = True
    dream: Dream | None = None


Hear = Callable[[Heard], None]


@dataclass(frozen=True, kw_only=True)
class Given:
    """Thoughts in the place of the agent's own; None leaves one to it.

    Attributes:
        thought: the first, from which the plan follows; of several plans each.
        review: that of the review, from which the revised action follows.
    """

    thought: str | None = None
    review: str | None = None


def refuse_unsayable(given: Given, encoder: SegmentEncoder, prompt_format: PromptFormat, most: int) -> None:
    """Refuse thoughts that the agent could not have, before they take part in anything.

    Args:
        given: the thoughts.
        encoder: of the agent.
        prompt_format: the fields that it speaks.
        most: tokens of its longest thought.

    Raises:
        RigError: one is empty or no Unicode, holds a fixed phrase, is too long, or the agent has no thoughts.
    """
    for thought in (given.thought, given.review):
        if thought is None:
            continue
        if not prompt_format.thought:
            raise RigError("this agent was trained without thoughts; none can be given to it")
        if not is_unicode(thought) or not thought.strip():
            raise RigError("the thought is empty, or no Unicode; say something in it")
        encoder.encode(think(thought))
        if (count := len(encoder.tokenizer.encode(thought))) > most:
            raise RigError(f"the thought takes {count} tokens, and there is room for {most}; shorten it")


@dataclass(eq=False)
class HeardState(DecisionState):
    """A decision in the making that tells of all that is said in it, forks included.

    Attributes:
        hear: who is told; it must not raise.
        given: thoughts in the place of the agent's own.
        way: as of `Heard`.
        is_review: whether the answer that is being written is the review.
        forks: how often it has forked.
        ways: into how many ways, the last time.
    """

    hear: Hear = lambda heard: None
    given: Given = Given()
    way: str = ""
    is_review: bool = False
    forks: int = 0
    ways: int = 0

    def answer(self, *, review: bool = False) -> Conversation[Plan]:
        """Let the model write its thought and its action, as far as none is given; return them."""
        self.is_review = review
        plan = yield from super().answer(review=review)
        return plan if self._given() is None else replace(plan, tokens=None)

    def dream(self) -> Conversation[Dream]:
        """Let the model imagine the frame after its action, and tell of it."""
        text = self.speaker.space.format(self.action)
        self._tell("dreaming", text, is_whole=False)
        depth = len(self.dreams)
        dream = yield from super().dream()
        self._tell("dream", text, dream=dream, depth=depth)
        return dream

    def judge(self) -> Conversation[Said]:
        """Let the model say what its plan is worth, and tell of it."""
        said = yield from self._listened(super().judge(), "judgement", ())
        self._tell("judgement", judgement_text(said.judgement))
        return said

    def retell(self, plan: Plan) -> Conversation[None]:
        """Put a plan where the model would write it, and tell which it is."""
        yield from super().retell(plan)
        self._tell("plan", self.speaker.space.format(plan.action))

    def fork(self, ways: Sequence[Callable[[DecisionState], Conversation[T]]]) -> Conversation[list[T]]:
        """Go on in several ways at once, each of which tells of itself."""
        self.forks, self.ways = self.forks + 1, 0
        return (yield from super().fork(ways))

    def _forked(self, slot: Any) -> DecisionState:
        before = f"{self.way}/" if self.way else ""
        forked = super()._forked(slot)
        assert isinstance(forked, HeardState)
        forked.way, forked.forks, forked.ways = f"{before}{self.forks}.{self.ways}", 0, 0
        self.ways += 1
        return forked

    def _write(self, constraint: Constraint, ending: int) -> Conversation[str]:
        part: Part = "thought" if constraint is self.speaker.thought else "action"
        given = self._given() if part == "thought" else None
        if given is not None:
            yield self._read(think(given))
            text = given
        else:
            text = yield from self._listened(super()._write(constraint, ending), part, _endings(constraint))
        self._tell(part, text)
        return text

    def _given(self) -> str | None:
        """Return the thought that is given in the place of the one at hand."""
        if self.is_review:
            return self.given.review
        return None if self.dreams else self.given.thought

    def _listened(self, inner: Conversation[T], part: Part, ending: Sequence[int]) -> Conversation[T]:
        """Hold a part of the conversation, and tell of each text that is written in it, token by token."""
        decode = self.speaker.encoder.tokenizer.decode

        def heard(ids: Sequence[int]) -> None:
            self._tell(part, decode(_before(ids, ending)).rstrip(_HALF), is_whole=False)

        came: Any = None
        while True:
            try:
                wish = inner.send(came)
            except StopIteration as end:
                value: T = end.value
                return value
            came = yield replace(wish, heard=heard) if isinstance(wish, GenerateText) else wish

    def _tell(
        self, part: Part, text: str, *, is_whole: bool = True, dream: Dream | None = None, depth: int | None = None
    ) -> None:
        self.hear(
            Heard(
                part=part,
                way=self.way,
                depth=len(self.dreams) if depth is None else depth,
                review=self.is_review,
                text=text,
                is_whole=is_whole,
                dream=dream,
            )
        )


def _endings(constraint: Constraint) -> Sequence[int]:
    if isinstance(constraint, ThoughtConstraint):
        return constraint.stop_ids
    return constraint.terminator_ids if isinstance(constraint, ActionConstraint) else ()


def _before(ids: Sequence[int], ending: Sequence[int]) -> list[int]:
    """Return tokens without what may be the beginning of their ending."""
    ids, ending = list(ids), list(ending)
    for count in range(min(len(ids), len(ending)), 0, -1):
        if ids[-count:] == ending[:count]:
            return ids[:-count]
    return ids
