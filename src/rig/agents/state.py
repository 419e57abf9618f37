"""A decision in the making: what planners ask for, and what has come of it so far.

A `DecisionState` stands over one conversation. Its methods are generators to be delegated to with `yield from`: they
put what the dialogue says, and let the model answer or dream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from rig.actions import Action
from rig.agents.said import Said
from rig.agents.speaker import Speaker
from rig.dialogue import (
    End,
    Kind,
    Role,
    Segment,
    TokenSequence,
    WriteImage,
    act,
    answer_prefix,
    ask_about,
    ask_worth,
    asked_to_judge,
    asked_to_review,
    reread,
    told,
)
from rig.engine import (
    GREEDY,
    ONE_BY_ONE,
    Constraint,
    Conversation,
    Fork,
    GeneratedImage,
    GeneratedText,
    GenerateImage,
    GenerateText,
    Prefill,
    Slot,
    WeighedImage,
    WeighImage,
)
from rig.records import Codes, Cost, Decision, Dream, Frame, Observation, Plan, Review, SampledTokens, Step

T = TypeVar("T")

_NEVER = -1000.0
"""The logarithm of a probability that is as good as none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Imagined:
    """What is shown as the next frame.

    Attributes:
        frame: uint8 [H, W, 3].
        codes: those that it was drawn of; None where nobody drew it, and it is to be encoded.
        entropy: of the distributions of these codes, in nats per code.
    """

    frame: Frame
    codes: Codes | None = None
    entropy: float = 0.0


class Substitute(Protocol):
    """Shows something in the place of the dreams of one conversation."""

    def show(self, state: DecisionState) -> Conversation[Imagined]:
        """Return what is shown as the frame after `state.action`, behind the dreams that `state` has."""
        ...

    def fork(self) -> Substitute:
        """Return one that goes on from what was shown so far, for another way to go on."""
        ...


def is_unsure(dream: Dream, stop_entropy: float | None) -> bool:
    """Return whether the entropy of a dream is known, and above what one can go on from."""
    return stop_entropy is not None and dream.entropy is not None and dream.entropy > stop_entropy


@dataclass(eq=False)
class DecisionState:
    """One conversation about what to do, and what was said in it so far.

    Attributes:
        speaker: how the agent speaks.
        observation: what is seen.
        slot: where the conversation stands.
        seed: of the decision, the same in all forks.
        substitute: where given, what it shows takes the place of every dream.
        thought: the last one.
        action: the last one that was chosen.
        dreams: what was dreamed, in order.
        proposals: the plans that forks came back with, in order; later forks know them.
        texts: what the last answer wrote, the thought and then the action.
        said: what was said of the plan, where it was judged.
        cost: what was read and written so far, in forks too.
        observed: the codes of what is seen, once somebody asked for them; all forks share them.
    """

    speaker: Speaker
    observation: Observation
    slot: Slot
    seed: int = 0
    substitute: Substitute | None = None
    thought: str | None = None
    action: Action = field(default_factory=Action)
    dreams: list[Dream] = field(default_factory=list)
    proposals: list[Plan] = field(default_factory=list)
    texts: list[GeneratedText] = field(default_factory=list)
    said: Said | None = None
    cost: Cost = field(default_factory=Cost)
    observed: list[Codes] = field(default_factory=list)

    def observe(self) -> Conversation[None]:
        """Put what is observed, up to where the model's answer begins."""
        prompt_format = self.speaker.prompt_format
        question = ask_about(self.observation, self.speaker.space, prompt_format)
        yield self._read([*question, *answer_prefix(prompt_format)])

    def answer(self, *, review: bool = False) -> Conversation[Plan]:
        """Let the model write its thought and its action where it has been asked; return them.

        Args:
            review: whether this answer is the review of the first proposal.
        """
        self.texts = []
        if self.speaker.prompt_format.thought:
            constraint = self.speaker.thought
            self.thought = yield from self._write(constraint, len(constraint.stop_ids))
        if review and self._says_keep():
            yield from self._keep_plan()
        else:
            text = yield from self._write(self.speaker.action, len(self.speaker.action.terminator_ids))
            self.action = self.speaker.space.parse(text)
        return Plan(thought=self.thought, action=self.action, tokens=self._tokens())

    def dream(self) -> Conversation[Dream]:
        """Let the model imagine the frame after its action, and keep the dream; a control keeps one without a frame."""
        dream = Dream(thought=self.thought, action=self.action)
        if self.speaker.prompt_format.dream:
            shown = yield from (self._draw() if self.substitute is None else self._show(self.substitute))
            dream = replace(dream, codes=shown.codes, frame=shown.frame, entropy=shown.entropy)
        self.dreams.append(dream)
        return dream

    def stillness(self) -> Conversation[float]:
        """Return how likely the model finds it that its action changes nothing: a logarithm, in nats.

        The frame before stands where the dream would be drawn, and is weighed in one pass. With a substitute for
        dreams it is certain: 0 where that shows what was seen, code for code, and else as unlikely as can be told.
        """
        if self.substitute is not None:
            before, shown = self._shown(), (yield from self._show(self.substitute)).codes
            return 0.0 if shown is not None and np.array_equal(before, shown) else _NEVER
        encoder = self.speaker.encoder
        opening = encoder.open_image(self.slot.next_position)
        yield Prefill(tokens=opening)
        weighed: WeighedImage = yield WeighImage(codes=self._shown())
        self.cost += Cost(read_tokens=len(opening) + len(weighed.log_probs))
        return float(weighed.log_probs.sum())

    def reread(self, *, review: bool) -> Conversation[None]:
        """Put the last dream as the next thing that is seen, up to where the answer begins.

        Args:
            review: whether the answer is to be the review.
        """
        speaker = self.speaker
        question = reread(self.dreams, self.observation, speaker.space, speaker.prompt_format, review=review)
        yield self._read([*question, *answer_prefix(speaker.prompt_format, review=review)])

    def read_lookahead(self, step: Step) -> Conversation[Plan]:
        """Put a step's own proposals and dreams, up to where the review begins; return its first proposal."""
        self.dreams = list(step.dreams)
        prompt_format = self.speaker.prompt_format
        asked = asked_to_review(step, self.speaker.space, prompt_format)
        yield self._read([*asked, *answer_prefix(prompt_format, review=True)])
        return Plan(thought=step.dreams[0].thought, action=step.dreams[0].action)

    def read_plan(self, step: Step) -> Conversation[None]:
        """Put a step's own plan and its dreams, up to where its judgement begins."""
        self.dreams = list(step.dreams)
        yield self._read(asked_to_judge(step, self.speaker.space, self.speaker.prompt_format))

    def ask_worth(self) -> Conversation[None]:
        """Put the last dream, or the plan that was just told without one, up to where its judgement begins."""
        dreams = self.dreams or [Dream(thought=self.thought, action=self.action)]
        yield self._read(ask_worth(dreams, self.observation, self.speaker.space, self.speaker.prompt_format))

    def judge(self) -> Conversation[Said]:
        """Let the model say where its plan leads and what that is worth, where it has been asked.

        The likeliest words are taken, and the likeliest verdict; what to expect is by all verdicts.
        """
        judging = self.speaker.judging
        assert judging is not None, "the planner's check, or the policy's, refuses agents that say no judgements"
        words: GeneratedText = yield GenerateText(constraint=judging.words, sampler=GREEDY)
        verdict: GeneratedText = yield GenerateText(constraint=judging.verdict, sampler=GREEDY, choices=True)
        self.cost += Cost(text_tokens=len(words.ids) + len(verdict.ids))
        self.said = judging.read(words, verdict, self.speaker.encoder.tokenizer)
        return self.said

    def look_ahead(self, steps: int, stop_entropy: float | None = None) -> Conversation[tuple[Dream, ...]]:
        """Dream so many steps behind the answer that was just given: dream, read it, answer, dream again.

        Args:
            steps: n.
            stop_entropy: go no further than a dream whose entropy, in nats per code, is above this; None goes on.
        """
        for number in range(steps):
            if number:
                yield from self.reread(review=False)
                yield from self.answer()
            dream = yield from self.dream()
            if is_unsure(dream, stop_entropy):
                break
        return tuple(self.dreams)

    def retell(self, plan: Plan) -> Conversation[None]:
        """Put a plan where the model would write it: it stands as if it had just been written.

        One of the agent's own is put token for token as it was written; one from elsewhere as the dialogue says it,
        with a thought where the format has thoughts.
        """
        self.thought, self.action = plan.thought, plan.action
        if plan.tokens is None:
            yield self._read(told(plan.thought, self.speaker.space.format(plan.action), self.speaker.prompt_format))
            return
        ids, start = plan.tokens.ids, self.slot.next_position
        tokens = TokenSequence(
            ids=ids,
            kinds=np.full(len(ids), Kind.TEXT, np.uint8),
            roles=np.full(len(ids), Role.ACTION, np.uint8),
            weights=np.zeros(len(ids), np.float32),
            positions=np.arange(start, start + len(ids), dtype=np.int32),
            frames=(),
        )
        self.cost += Cost(read_tokens=len(ids))
        yield Prefill(tokens=tokens)

    def fork(self, ways: Sequence[Callable[[DecisionState], Conversation[T]]]) -> Conversation[list[T]]:
        """Go on in several ways at once, each over a state of its own; return what they returned, in order."""
        states: list[DecisionState] = []

        def program(slot: Slot, way: Callable[[DecisionState], Conversation[T]]) -> Conversation[T]:
            states.append(self._forked(slot))
            return way(states[-1])

        returned: list[T] = yield Fork(programs=[partial(program, way=way) for way in ways])
        self.cost = sum((state.cost for state in states), start=self.cost)
        self.proposals += [one for one in returned if isinstance(one, Plan)]
        return returned

    def aside(self, way: Callable[[DecisionState], Conversation[T]]) -> Conversation[T]:
        """Hold another conversation about the same observation, from its very beginning; return what it returned.

        Nothing of it is in this one, and what it dreams is the model's own.
        """
        states: list[DecisionState] = []

        def program(slot: Slot) -> Conversation[T]:
            states.append(DecisionState(self.speaker, self.observation, slot, self.seed))
            return way(states[-1])

        returned: list[T] = yield Fork(programs=[program], anew=True)
        self.cost += states[0].cost
        return returned[0]

    def _forked(self, slot: Slot) -> DecisionState:
        return replace(
            self,
            slot=slot,
            substitute=None if self.substitute is None else self.substitute.fork(),
            dreams=list(self.dreams),
            proposals=list(self.proposals),
            texts=[],
            said=None,
            cost=Cost(),
        )

    def decision(self, *plans: Plan, chosen: int = 0) -> Decision:
        """Return the decision for one of `plans`, without a review."""
        plan = plans[chosen]
        return Decision(
            action=plan.action, thought=plan.thought, plans=plans, chosen=chosen, tokens=plan.tokens, cost=self.cost
        )

    def reviewed(self, plan: Plan, revised: Plan) -> Decision:
        """Return the decision for what a review of `plan` and its dreams made of it."""
        review = Review(thought=revised.thought, action=revised.action, helped=revised.action != plan.action)
        return Decision(
            action=revised.action,
            thought=revised.thought,
            plans=(replace(plan, dreams=tuple(self.dreams)),),
            review=review,
            tokens=revised.tokens,
            cost=self.cost,
        )

    def _says_keep(self) -> bool:
        read = self.speaker.verdict_of
        return read is not None and self.thought is not None and read(self.thought) == "keep"

    def _keep_plan(self) -> Conversation[None]:
        """Put the first proposal where the model would write its action: what is said stands as if it were its own."""
        self.action = self.dreams[0].action
        yield self._read(act(self.speaker.space.format(self.action), self.speaker.prompt_format))

    def _write(self, constraint: Constraint, ending: int) -> Conversation[str]:
        """Let the model write under `constraint`, and return the text without its last `ending` tokens."""
        wanted = GenerateText(constraint=constraint, sampler=self.speaker.text, log_probs=self.speaker.log_probs)
        text: GeneratedText = yield wanted
        self.texts.append(text)
        self.cost += Cost(text_tokens=len(text.ids))
        return self.speaker.encoder.tokenizer.decode(text.ids[: len(text.ids) - ending])

    def _tokens(self) -> SampledTokens:
        ids = [token for text in self.texts for token in text.ids]
        scores = [text.log_probs for text in self.texts if text.log_probs is not None]
        return SampledTokens(ids=np.array(ids, np.int32), log_probs=np.concatenate(scores) if scores else None)

    def _draw(self) -> Conversation[Imagined]:
        """Let the model write an image."""
        speaker = self.speaker
        opening = speaker.encoder.open_image(self.slot.next_position)
        yield Prefill(tokens=opening)
        draft = None if speaker.speculation == ONE_BY_ONE else self._shown()
        drawn: GeneratedImage = yield GenerateImage(sampler=speaker.image, speculation=speaker.speculation, draft=draft)
        closing = speaker.encoder.close_image(self.slot.next_position)
        yield Prefill(tokens=closing)
        self.cost += Cost(image_tokens=len(drawn.codes), read_tokens=len(opening) + len(closing))
        frame = speaker.engine.decode_images(drawn.codes[None])[0]
        return Imagined(frame=frame, codes=drawn.codes, entropy=drawn.entropy)

    def _shown(self) -> Codes:
        """Return the codes of the frame before the next dream: most of what it shows will still be there."""
        codes = self.dreams[-1].codes if self.dreams else None
        if codes is not None:
            return codes
        if not self.observed:
            self.observed.extend(self.speaker.engine.encode_images(self.observation.frame[None]))
        return self.observed[0]

    def _show(self, substitute: Substitute) -> Conversation[Imagined]:
        """Put what a substitute shows where the model would write its image."""
        shown = yield from substitute.show(self)
        codes = self.speaker.engine.encode_images(shown.frame[None])[0] if shown.codes is None else shown.codes
        yield self._read([WriteImage(codes=codes), End()])
        return replace(shown, codes=codes)

    def _read(self, segments: list[Segment]) -> Prefill:
        """Return the wish to read segments."""
        slot = self.slot
        tokens = self.speaker.encoder.encode(segments, start=slot.next_position, begin=slot.length == 0)
        self.cost += Cost(read_tokens=len(tokens))
        return Prefill(tokens=tokens)
