"""Think, act, dream, review: RIG-basic and RIG-lookahead over the dialogue and the engine.

    policy = Policy(engine, encoder, space, PolicyConfig(dreams=3))
    decisions = policy.decide(observations, seeds)

Every decision is a conversation of its own, built by the same functions as the training items; all decisions of a call
run side by side. RIG-basic (`dreams=0`) acts at once. RIG-lookahead dreams `dreams` steps ahead, reads each dream back,
and after "Wait! Let's re-observe..." decides anew; only that action is for the world. A model that was trained without
dreams (`Format(dream=False)`) can still review its first proposal once: the control.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rig.actions import ActionGrammar, ActionSpace
from rig.dialogue import End, Format, Layout, Segment, SegmentEncoder, WriteImage, answer_prefix, ask, prompt, reread
from rig.engine import GREEDY, ActionConstraint, Constraint, Engine, Sampler, Session, ThoughtConstraint
from rig.errors import RigError
from rig.records import Action, Cost, Decision, Dream, Frame, Observation, Review

_PROMPT_TOKENS = 160
_ACTION_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """How a policy decides.

    Attributes:
        form: the fields that the model was trained to speak, and how it reads its dreams back.
        dreams: n, the steps imagined before the review; 0 is RIG-basic.
        thought_tokens: the longest thought.
        text: how thoughts and actions are drawn. The likeliest ones alone repeat a mistake for ever where it changes
            nothing in view.
        image: how dreams are drawn.
        imagine: at `dreams=0`, also dream the frame after the chosen action; for displays and scores.
    """

    form: Format = field(default_factory=Format)
    dreams: int = 0
    thought_tokens: int = 96
    text: Sampler = field(default_factory=lambda: Sampler(temperature=0.5))
    image: Sampler = GREEDY
    imagine: bool = False

    def __post_init__(self) -> None:
        if self.dreams < 0 or self.thought_tokens < 1:
            raise RigError(f"dreams={self.dreams} and thought_tokens={self.thought_tokens}: at least 0 and 1")
        if not self.form.dream and (self.dreams > 1 or self.imagine):
            raise RigError("a model without dreams reviews its first proposal once: dreams is 0 or 1, imagine is off")

    def capacity(self, layout: Layout) -> int:
        """Return the tokens that the longest conversation of this policy can take."""
        turn = layout.read_tokens + layout.write_tokens + _PROMPT_TOKENS + self.thought_tokens + _ACTION_TOKENS
        again = layout.read_tokens if self.form.reobserve else 0
        return (self.dreams + 1) * turn + again


class Foresight(Protocol):
    """Knows what really comes of actions: stands in for dreams, to bound what better ones could bring."""

    def follow(self, actions: Sequence[Action]) -> list[Frame]:
        """Return the frames after one more action in each of the observed worlds, which themselves stay as they are."""
        ...


@dataclass
class _Talk:
    """One conversation in the making."""

    observation: Observation
    thought: str | None = None
    action: Action = field(default_factory=Action)
    dreams: list[Dream] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)


class Policy:
    """A model that decides.

    Args:
        engine: the model; its capacity must hold `config.capacity(encoder.layout)` tokens.
        encoder: the model's tokenizer and layout.
        space: the world's action space; nothing outside it can be decided.
        config: how to decide.
    """

    def __init__(self, engine: Engine, encoder: SegmentEncoder, space: ActionSpace, config: PolicyConfig) -> None:
        self.engine, self.encoder, self.space, self.config = engine, encoder, space, config
        tokenizer = encoder.tokenizer
        end = tokenizer.encode(prompt.NEXT_FRAME, literal=True) if config.form.dream else [tokenizer.eos]
        self._action = ActionConstraint(tokenizer, ActionGrammar(space), end)
        stop = tokenizer.encode(prompt.NEXT_ACTION, literal=True)
        self._thought = ThoughtConstraint(tokenizer, stop, config.thought_tokens)

    def decide(
        self, observations: Sequence[Observation], seeds: Sequence[int], foresight: Foresight | None = None
    ) -> list[Decision]:
        """Return a decision for each observation.

        Args:
            observations: what is seen now, one per world.
            seeds: one per observation; a decision follows from its observation and its seed alone.
            foresight: of the same worlds; where given, what it shows takes the place of every dream.
        """
        started = time.perf_counter()
        session, talks = self._begin(observations, seeds)
        for number in range(1, self.config.dreams + 1):
            self._dream(session, talks, foresight)
            review = number == self.config.dreams
            self._answer(session, talks, self._reread(talks, review=review), review=review)
        if self.config.imagine and not self.config.dreams:
            self._dream(session, talks)
        shared = Cost(seconds=(time.perf_counter() - started) / max(1, len(talks)))
        return [self._decision(talk, shared) for talk in talks]

    def dream_ahead(
        self, observations: Sequence[Observation], seeds: Sequence[int], steps: Sequence[int]
    ) -> list[list[Dream]]:
        """Return dreams from each observation, without a review: what stage S4 aligns with the engine.

        Args:
            observations: where dreams begin.
            seeds: one per observation.
            steps: how many dreams from each.
        """
        longest_first = sorted(range(len(steps)), key=lambda index: -steps[index])
        session, talks = self._begin(
            [observations[index] for index in longest_first], [seeds[index] for index in longest_first]
        )
        for number in range(max(steps, default=0)):
            dreaming = talks[: sum(wanted > number for wanted in steps)]
            if number:
                self._answer(session, dreaming, self._reread(dreaming, review=False), review=False)
            self._dream(session, dreaming)
        in_order = sorted(zip(longest_first, talks, strict=True), key=lambda pair: pair[0])
        return [talk.dreams for _, talk in in_order]

    def _begin(self, observations: Sequence[Observation], seeds: Sequence[int]) -> tuple[Session, list[_Talk]]:
        """Put what is observed, and let the model answer."""
        talks = [_Talk(observation) for observation in observations]
        session = self.engine.session(seeds)
        first = [ask(talk.observation.frame, *self._question(talk.observation), self.config.form) for talk in talks]
        self._answer(session, talks, first, review=False)
        return session, talks

    def _question(self, observation: Observation) -> tuple[str, str]:
        return observation.instruction, self.space.format(observation.previous_action)

    def _reread(self, talks: list[_Talk], *, review: bool) -> list[list[Segment]]:
        form = self.config.form
        return [reread(talk.dreams[-1], talk.observation, self.space, form, review=review) for talk in talks]

    def _answer(self, session: Session, talks: list[_Talk], questions: list[list[Segment]], *, review: bool) -> None:
        """Put the questions, and let the model write its thoughts and actions."""
        rows = range(len(talks))
        prefix = answer_prefix(self.config.form, review=review)
        self._append(session, talks, [[*question, *prefix] for question in questions])
        thoughts = (
            self._write(session, talks, self._thought, len(self._thought.stop_ids))
            if self.config.form.thought
            else None
        )
        actions = self._write(session, talks, self._action, len(self._action.terminator_ids))
        for row in rows:
            talks[row].thought = thoughts[row] if thoughts else None
            talks[row].action = self.space.parse(actions[row])

    def _write(self, session: Session, talks: list[_Talk], constraint: Constraint, ending: int) -> list[str]:
        """Let the model write under `constraint`, and return the texts without their last `ending` tokens."""
        written = session.write_text(range(len(talks)), [constraint] * len(talks), self.config.text)
        for talk, ids in zip(talks, written, strict=True):
            talk.cost += Cost(text_tokens=len(ids))
        return [self.encoder.tokenizer.decode(ids[: len(ids) - ending]) for ids in written]

    def _dream(self, session: Session, talks: list[_Talk], foresight: Foresight | None = None) -> None:
        """Let the model imagine the frame after its action, and keep it as a dream."""
        if not self.config.form.dream:
            for talk in talks:
                talk.dreams.append(Dream(thought=talk.thought, action=talk.action))
            return
        codes, frames = (
            self._write_images(session, talks) if foresight is None else self._foresee(session, talks, foresight)
        )
        for talk, written, frame in zip(talks, codes, frames, strict=True):
            talk.dreams.append(Dream(thought=talk.thought, action=talk.action, codes=written, frame=frame))

    def _write_images(self, session: Session, talks: list[_Talk]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Let the model write an image in each conversation, and return their codes and the frames they stand for."""
        rows = range(len(talks))
        session.append(rows, [self.encoder.open_image(session.next_position(row)) for row in rows])
        images = session.write_image(rows, self.config.image)
        session.append(rows, [self.encoder.close_image(session.next_position(row)) for row in rows])
        for talk, codes in zip(talks, images.codes, strict=True):
            talk.cost += Cost(image_tokens=len(codes), read_tokens=3)
        return images.codes, self.engine.decode_images(images.codes)

    def _foresee(
        self, session: Session, talks: list[_Talk], foresight: Foresight
    ) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Put the frames that really come where the model would write its images, and return the same of them."""
        frames = np.stack(foresight.follow([talk.action for talk in talks]))
        codes = self.engine.encode_images(frames)
        self._append(session, talks, [[WriteImage(codes=written), End()] for written in codes])
        return codes, frames

    def _append(self, session: Session, talks: list[_Talk], segments: list[list[Segment]]) -> None:
        rows = range(len(talks))
        sequences = [
            self.encoder.encode(part, start=session.next_position(row), begin=session.length(row) == 0)
            for row, part in zip(rows, segments, strict=True)
        ]
        session.append(rows, sequences)
        for talk, sequence in zip(talks, sequences, strict=True):
            talk.cost += Cost(read_tokens=len(sequence))

    def _decision(self, talk: _Talk, shared: Cost) -> Decision:
        reviewed = self.config.dreams > 0
        review = None
        if reviewed:
            helped = talk.action != talk.dreams[0].action
            review = Review(thought=talk.thought, action=talk.action, helped=helped)
        return Decision(
            action=talk.action,
            thought=talk.thought,
            dreams=tuple(talk.dreams),
            review=review,
            cost=talk.cost + shared,
        )
