"""Think, act, dream, review: RIG-basic and RIG-lookahead over the dialogue and the engine.

    policy = Policy(engine, encoder, space, PolicyConfig(dreams=3))
    decisions = policy.decide(observations, seeds)

Every decision is a conversation of its own, built by the same functions as the training items; many run side by side,
each at its own pace. RIG-basic (`dreams=0`) acts at once. RIG-lookahead dreams `dreams` steps ahead, reads each dream
back, and after "Wait! Let's re-observe..." decides anew; only that action is for the world. A model that was trained
without dreams (`Format(dream=False)`) can still review its first proposal once: the control.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter
from typing import Protocol

from rig.actions import ActionGrammar, ActionSpace
from rig.dialogue import (
    End,
    Format,
    Segment,
    SegmentEncoder,
    WriteImage,
    act,
    answer_prefix,
    ask,
    asked_to_review,
    prompt,
    reread,
)
from rig.engine import (
    GREEDY,
    ONE_BY_ONE,
    ActionConstraint,
    Constraint,
    Conversation,
    Draw,
    Drawn,
    Engine,
    Guessing,
    Place,
    Read,
    Sampler,
    Speak,
    Stream,
    ThoughtConstraint,
    longest_action,
)
from rig.errors import RigError
from rig.records import Action, Codes, Cost, Decision, Dream, Frame, Observation, Review, Step

_INSTRUCTION_TOKENS = 64
_MARKS = 4
"""Around images, and at the ends of turns."""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """How a policy decides.

    Attributes:
        form: the fields that the model was trained to speak, and how it reads its dreams back.
        dreams: n, the steps imagined before the review; 0 is RIG-basic.
        stop_entropy: dream no further than a dream whose entropy, in nats per code, is above this: what follows from a
            dream that the model is unsure of says little. None dreams all n steps.
        sure_entropy: write a code of a dream at once, whatever its neighbours turn out to be, where the entropy of its
            distribution, in nats, is below this; 0 writes a dream exactly as one code after the other.
        thought_tokens: the longest thought.
        text: how thoughts and actions are drawn. The likeliest ones alone repeat a mistake for ever where it changes
            nothing in view.
        image: how dreams are drawn.
        imagine: at `dreams=0`, also dream the frame after the chosen action; for displays and scores.
    """

    form: Format = field(default_factory=Format)
    dreams: int = 0
    stop_entropy: float | None = None
    sure_entropy: float = 0.0
    thought_tokens: int = 96
    text: Sampler = field(default_factory=lambda: Sampler(temperature=0.5))
    image: Sampler = GREEDY
    imagine: bool = False

    def __post_init__(self) -> None:
        if self.dreams < 0 or self.thought_tokens < 1:
            raise RigError(f"dreams={self.dreams} and thought_tokens={self.thought_tokens}: at least 0 and 1")
        if not self.form.dream and (self.dreams > 1 or self.imagine):
            raise RigError("a model without dreams reviews its first proposal once: dreams is 0 or 1, imagine is off")

    def capacity(self, encoder: SegmentEncoder, space: ActionSpace) -> int:
        """Return the tokens that the longest conversation of this policy can take, with the encoder's own tokenizer."""
        layout, encode = encoder.layout, encoder.tokenizer.encode
        phrases = sum(len(encode(phrase, literal=True)) for phrase in prompt.LITERALS)
        images = layout.read_tokens + layout.write_tokens + layout.write_stride + _MARKS
        actions = 2 * longest_action(space)  # the one before, which is told, and the one that is written
        turn = phrases + images + actions + _INSTRUCTION_TOKENS + self.thought_tokens
        again = layout.read_tokens + _MARKS if self.form.reobserve else 0
        return (self.dreams + 1) * turn + again


class Foresight(Protocol):
    """Knows what really comes of actions in one world: stands in for dreams, to bound what better ones could bring."""

    def follow(self, action: Action) -> Frame:
        """Return the frame after one more action; the observed world itself stays as it is."""
        ...


@dataclass
class _Talk:
    """One conversation in the making."""

    observation: Observation
    place: Place
    guessing: Guessing = ONE_BY_ONE
    foresight: Foresight | None = None
    thought: str | None = None
    action: Action = field(default_factory=Action)
    dreams: list[Dream] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)


class Policy:
    """A model that decides.

    Args:
        engine: the model; its capacity must hold `config.capacity(encoder, space)` tokens.
        encoder: the model's tokenizer and layout.
        space: the world's action space; nothing outside it can be decided.
        config: how to decide.
        judge: reads off a review's thought what it says of its plan, "keep" or another; where given, a review that says
            so does what was planned, whatever it would have written.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: SegmentEncoder,
        space: ActionSpace,
        config: PolicyConfig,
        judge: Callable[[str], str | None] | None = None,
    ) -> None:
        self.engine, self.encoder, self.space, self.config, self._judge = engine, encoder, space, config, judge
        tokenizer = encoder.tokenizer
        end = tokenizer.encode(prompt.NEXT_FRAME, literal=True) if config.form.dream else [tokenizer.eos]
        self._action = ActionConstraint(tokenizer, ActionGrammar(space), end)
        stop = tokenizer.encode(prompt.NEXT_ACTION, literal=True)
        self._thought = ThoughtConstraint(tokenizer, stop, config.thought_tokens)

    def check_instruction(self, task: str, instruction: str) -> None:
        """Refuse what a task asks for where there is no room for it; to be called before playing begins.

        Raises:
            RigError: it is longer than the room that conversations have for it.
        """
        count = len(self.encoder.tokenizer.encode(instruction))
        if count > _INSTRUCTION_TOKENS:
            raise RigError(
                f"task {task!r}: its instruction {instruction[:40]!r}… takes {count} tokens, and this agent has room "
                f"for {_INSTRUCTION_TOKENS}; shorten it where the task is defined"
            )

    def decide(
        self, observations: Sequence[Observation], seeds: Sequence[int], foresights: Sequence[Foresight] | None = None
    ) -> list[Decision]:
        """Return a decision for each observation.

        Args:
            observations: what is seen now, one per world.
            seeds: one per observation; a decision follows from its observation and its seed alone.
            foresights: of the same worlds; where given, what they show takes the place of every dream.
        """
        deciding = self.deciding(max(1, len(observations)))
        given = foresights if foresights is not None else [None] * len(observations)
        for key, (observation, seed, foresight) in enumerate(zip(observations, seeds, given, strict=True)):
            deciding.submit(key, observation, seed, foresight)
        return [decision for _, decision in sorted((deciding.next() for _ in observations), key=itemgetter(0))]

    def deciding(self, places: int) -> Deciding:
        """Return where observations are handed in and decisions handed out, `places` of them in the making at once."""
        guessing = self.engine.guessing_for(places, sure=self.config.sure_entropy)

        def converse(place: Place, observation: Observation, foresight: Foresight | None) -> Conversation[Decision]:
            return self._decision(_Talk(observation, place, guessing, foresight))

        return Deciding(self.engine.stream(places), converse)

    def dream_ahead(
        self, observations: Sequence[Observation], seeds: Sequence[int], steps: Sequence[int]
    ) -> list[list[Dream]]:
        """Return dreams from each observation, without a review: what stage S4 aligns with the engine.

        Args:
            observations: where dreams begin.
            seeds: one per observation.
            steps: how many dreams from each.
        """
        places = max(1, len(observations))
        stream = self.engine.stream(places)
        guessing = self.engine.guessing_for(places, sure=self.config.sure_entropy)

        def dream(place: Place, observation: Observation, count: int) -> Conversation[list[Dream]]:
            return self._dreams(_Talk(observation, place, guessing), count)

        for observation, seed, count in zip(observations, seeds, steps, strict=True):
            stream.submit(seed, partial(dream, observation=observation, count=count))
        return stream.finish()

    def review(self, steps: Sequence[Step], seeds: Sequence[int]) -> list[Decision]:
        """Return reviews of lookaheads that are given: of each step, what was proposed and dreamed is the step's own.

        Args:
            steps: with dreams that have frames, and codes where the form dreams. A dream that is aligned with the
                engine is shown as it really came.
            seeds: one per step.
        """
        places = max(1, len(steps))
        stream = self.engine.stream(places)

        def converse(place: Place, step: Step) -> Conversation[Decision]:
            seen = Observation(frame=step.frame, instruction=step.instruction, previous_action=step.previous_action)
            talk = _Talk(seen, place, dreams=list(step.dreams))
            yield from self._answer(talk, asked_to_review(step, self.space, self.config.form), review=True)
            return self._reviewed(talk)

        for step, seed in zip(steps, seeds, strict=True):
            stream.submit(seed, partial(converse, step=step))
        return stream.finish()

    def _decision(self, talk: _Talk) -> Conversation[Decision]:
        """Think, act, dream and review."""
        config = self.config
        yield from self._begin(talk)
        for number in range(1, config.dreams + 1):
            doubt = yield from self._dream(talk)
            unsure = config.stop_entropy is not None and doubt > config.stop_entropy
            review = unsure or number == config.dreams
            yield from self._answer(talk, self._reread(talk, review=review), review=review)
            if review:
                break
        if config.imagine and not config.dreams:
            yield from self._dream(talk)
        return self._decided(talk)

    def _dreams(self, talk: _Talk, steps: int) -> Conversation[list[Dream]]:
        """Think, act and dream, step after step."""
        for number in range(steps):
            if number:
                yield from self._answer(talk, self._reread(talk, review=False), review=False)
            else:
                yield from self._begin(talk)
            yield from self._dream(talk)
        return talk.dreams

    def _begin(self, talk: _Talk) -> Conversation[None]:
        """Put what is observed, and let the model answer."""
        seen = talk.observation
        question = ask(seen.frame, seen.instruction, self.space.format(seen.previous_action), self.config.form)
        yield from self._answer(talk, question, review=False)

    def _reread(self, talk: _Talk, *, review: bool) -> list[Segment]:
        return reread(talk.dreams[-1], talk.observation, self.space, self.config.form, review=review)

    def _answer(self, talk: _Talk, question: list[Segment], *, review: bool) -> Conversation[None]:
        """Put the question, and let the model write its thought and its action."""
        yield self._read(talk, [*question, *answer_prefix(self.config.form, review=review)])
        if self.config.form.thought:
            talk.thought = yield from self._write(talk, self._thought, len(self._thought.stop_ids))
        choose = self._keep_plan if review and self._says_keep(talk) else self._choose
        talk.action = yield from choose(talk)

    def _choose(self, talk: _Talk) -> Conversation[Action]:
        """Let the model write an action."""
        text = yield from self._write(talk, self._action, len(self._action.terminator_ids))
        return self.space.parse(text)

    def _says_keep(self, talk: _Talk) -> bool:
        return self._judge is not None and talk.thought is not None and self._judge(talk.thought) == "keep"

    def _keep_plan(self, talk: _Talk) -> Conversation[Action]:
        """Put the first proposal where the model would write its action: what is said stands as if it were its own."""
        plan = talk.dreams[0].action
        yield self._read(talk, act(self.space.format(plan), self.config.form))
        return plan

    def _write(self, talk: _Talk, constraint: Constraint, ending: int) -> Conversation[str]:
        """Let the model write under `constraint`, and return the text without its last `ending` tokens."""
        ids = yield Speak(constraint=constraint, sampler=self.config.text)
        talk.cost += Cost(text_tokens=len(ids))
        return self.encoder.tokenizer.decode(ids[: len(ids) - ending])

    def _dream(self, talk: _Talk) -> Conversation[float]:
        """Let the model imagine the frame after its action, and keep it as a dream; return the dream's entropy."""
        if not self.config.form.dream:
            talk.dreams.append(Dream(thought=talk.thought, action=talk.action))
            return 0.0
        write = self._draw if talk.foresight is None else self._foresee
        codes, frame, doubt = yield from write(talk)
        talk.dreams.append(Dream(thought=talk.thought, action=talk.action, codes=codes, frame=frame))
        return doubt

    def _draw(self, talk: _Talk) -> Conversation[tuple[Codes, Frame, float]]:
        """Let the model write an image; return its codes, the frame they stand for, and its entropy."""
        opening = self.encoder.open_image(talk.place.next_position)
        yield Read(tokens=opening)
        draft = None if talk.guessing == ONE_BY_ONE else self._shown(talk)
        drawn: Drawn = yield Draw(sampler=self.config.image, guessing=talk.guessing, draft=draft)
        closing = self.encoder.close_image(talk.place.next_position)
        yield Read(tokens=closing)
        talk.cost += Cost(image_tokens=len(drawn.codes), read_tokens=len(opening) + len(closing))
        return drawn.codes, self.engine.decode_images(drawn.codes[None])[0], drawn.entropy

    def _shown(self, talk: _Talk) -> Codes:
        """Return the codes of the frame before the next dream: most of what it shows will still be there."""
        codes = talk.dreams[-1].codes if talk.dreams else None
        return codes if codes is not None else self.engine.encode_images(talk.observation.frame[None])[0]

    def _foresee(self, talk: _Talk) -> Conversation[tuple[Codes, Frame, float]]:
        """Put the frame that really comes where the model would write its image, and return the same of it."""
        assert talk.foresight is not None
        frame = talk.foresight.follow(talk.action)
        codes = self.engine.encode_images(frame[None])[0]
        yield self._read(talk, [WriteImage(codes=codes), End()])
        return codes, frame, 0.0

    def _read(self, talk: _Talk, segments: list[Segment]) -> Read:
        """Return the wish to read segments."""
        place = talk.place
        tokens = self.encoder.encode(segments, start=place.next_position, begin=place.length == 0)
        talk.cost += Cost(read_tokens=len(tokens))
        return Read(tokens=tokens)

    def _decided(self, talk: _Talk) -> Decision:
        if self.config.dreams:
            return self._reviewed(talk)
        return Decision(action=talk.action, thought=talk.thought, dreams=tuple(talk.dreams), cost=talk.cost)

    def _reviewed(self, talk: _Talk) -> Decision:
        helped = talk.action != talk.dreams[0].action
        review = Review(thought=talk.thought, action=talk.action, helped=helped)
        dreams = tuple(talk.dreams)
        return Decision(action=talk.action, thought=talk.thought, dreams=dreams, review=review, cost=talk.cost)


class Deciding:
    """Decisions in the making, each at its own pace; made by `Policy.deciding`.

    Args:
        stream: where conversations are held.
        converse: what each of them says.
    """

    def __init__(
        self,
        stream: Stream[Decision],
        converse: Callable[[Place, Observation, Foresight | None], Conversation[Decision]],
    ) -> None:
        self._stream, self._converse = stream, converse
        self._keys: dict[int, int] = {}

    def submit(self, key: int, observation: Observation, seed: int, foresight: Foresight | None = None) -> None:
        """Hand in an observation under a key of the caller's; the decision follows from it and the seed alone."""
        ticket = self._stream.submit(seed, lambda place: self._converse(place, observation, foresight))
        self._keys[ticket] = key

    def next(self) -> tuple[int, Decision]:
        """Return the next decision that is made, and its key."""
        ended = self._stream.next()
        decision = replace(ended.value, cost=ended.value.cost + Cost(seconds=ended.seconds))
        return self._keys.pop(ended.ticket), decision
