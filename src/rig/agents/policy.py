"""A trained agent that decides: think, act, dream, review, as its planner says.

    policy = Policy(engine, encoder, space, PolicyConfig(planner=Lookahead(dreams=3)))
    decisions = policy.decide(observations, seeds)

Every decision is a conversation of its own, built by the same functions as the training items; many run side by side,
each at its own pace. Which of several plans is followed, and what is dreamed on the way, is the planner's
(`rig.agents.planners`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import itemgetter

from rig.actions import ActionSpace
from rig.agents.deciding import PolicyDeciding
from rig.agents.heard import Given, Hear, HeardState, refuse_unsayable
from rig.agents.judges import refuse_unjudging
from rig.agents.planners import Basic, Planner, merged
from rig.agents.said import Judging, Said
from rig.agents.speaker import Speaker
from rig.agents.state import DecisionState, Substitute
from rig.dialogue import PromptFormat, SegmentEncoder, TextTokenizer, ask_about, prompt
from rig.engine import GREEDY, Conversation, Engine, Sampler, Slot, Stream, longest_action
from rig.envs import TaskTable
from rig.errors import RigError
from rig.records import Decision, Dream, Observation, Plan, Step
from rig.validation import fitting, is_unicode

_INSTRUCTION_TOKENS = 64
_MARKS = 4
"""Around images, and at the ends of turns."""


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """How a policy decides.

    Attributes:
        prompt_format: the fields that the model was trained to speak, and how it reads its dreams back.
        planner: how it comes to a decision.
        entropy_threshold: write a code of a dream at once, whatever its neighbours turn out to be, where the entropy of
            its distribution, in nats, is below this; 0 writes a dream exactly as one code after the other.
        thought_tokens: the longest thought.
        text: how thoughts and actions are drawn. The likeliest ones alone repeat a mistake for ever where it changes
            nothing in view.
        image: how dreams are drawn.
        log_probs: whether decisions say how likely the tokens of their texts were (`Decision.tokens`).
    """

    prompt_format: PromptFormat = field(default_factory=PromptFormat)
    planner: Planner = field(default_factory=Basic)
    entropy_threshold: float = 0.0
    thought_tokens: int = 96
    text: Sampler = field(default_factory=lambda: Sampler(temperature=0.5))
    image: Sampler = GREEDY
    log_probs: bool = False

    def __post_init__(self) -> None:
        if self.thought_tokens < 1:
            raise RigError(f"thought_tokens={self.thought_tokens}: at least 1")
        self.planner.check(self.prompt_format)

    def capacity(self, encoder: SegmentEncoder, space: ActionSpace, *, dreams: int | None = None) -> int:
        """Return the tokens that the longest conversation of this policy can take, with the encoder's own tokenizer.

        Args:
            encoder: whose tokenizer and layout.
            space: the world's action space.
            dreams: make room for so many; None for as many as the planner's.
        """
        layout, encode = encoder.layout, encoder.tokenizer.encode
        phrases = sum(len(encode(phrase, literal=True)) for phrase in prompt.literals(self.prompt_format))
        images = layout.read_tokens + layout.write_tokens + layout.write_stride + _MARKS
        actions = 2 * longest_action(space)  # the one before, which is told, and the one that is written
        actions += (self.prompt_format.history - 1) * _room_of_told(space, encoder.tokenizer)
        turn = phrases + images + actions + _INSTRUCTION_TOKENS + self.thought_tokens
        again = layout.read_tokens + _MARKS if self.prompt_format.reobserve else 0
        turns = (self.planner.dreams if dreams is None else dreams) + 1
        judged = 1 if self.prompt_format.judgement else 0  # of a plan without dreams it is a second turn
        return max(turns, 1 + judged) * turn + again + judged * 2 * self.thought_tokens


def _room_of_told(space: ActionSpace, tokenizer: TextTokenizer) -> int:
    """Return an upper bound on the tokens of one more action that is told, and of what stands before it."""
    keys = () if space.exclusive else space.keys
    ids = [tokenizer.encode(key, literal=True) for key in keys]
    atoms = [key for key, found in zip(keys, ids, strict=True) if tokenizer.special_ids.issuperset(found)]
    return len(prompt.THEN) + longest_action(space) - sum(len(key) - 1 for key in atoms)


class Policy:
    """A model that decides.

    Args:
        engine: the model; its capacity must hold `config.capacity(encoder, space)` tokens.
        encoder: the model's tokenizer and layout.
        space: the world's action space; nothing outside it can be decided.
        config: how to decide.
        verdict_of: reads off a review's thought what it says of its plan, "keep" or another; where given, a review that
            says so does what was planned, whatever it would have written.
    """

    def __init__(
        self,
        engine: Engine,
        encoder: SegmentEncoder,
        space: ActionSpace,
        config: PolicyConfig,
        verdict_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self.engine, self.encoder, self.space, self.config = engine, encoder, space, config
        thought, action = Speaker.constraints(encoder, space, config.prompt_format, config.thought_tokens)
        self._speaker = Speaker(
            engine=engine,
            encoder=encoder,
            space=space,
            prompt_format=config.prompt_format,
            thought=thought,
            action=action,
            text=config.text,
            image=config.image,
            log_probs=config.log_probs,
            verdict_of=verdict_of,
            judging=Judging.of(encoder, config.prompt_format, config.thought_tokens),
        )

    def configured(self, config: PolicyConfig) -> Policy:
        """Return a policy of the same network that decides by other settings."""
        return Policy(self.engine, self.encoder, self.space, config, self._speaker.verdict_of)

    def check_tasks(self, tasks: TaskTable, names: Iterable[str] = ()) -> None:
        """Refuse tasks, all or those called `names`, that there is no room for; see `check_instruction`."""
        for task, _ in tasks.variants(names):
            self.check_instruction(task.name, task.instruction)

    def check_instruction(self, task: str, instruction: str) -> None:
        """Refuse what a task asks for where there is no room for it; to be called before playing begins.

        Raises:
            RigError: it is longer than the room that conversations have for it.
        """
        if (count := self._length(instruction)) > _INSTRUCTION_TOKENS:
            raise RigError(
                f"task {task!r}: its instruction {instruction[:40]!r}… takes {count} tokens, and this agent has room "
                f"for {_INSTRUCTION_TOKENS}; shorten it where the task is defined"
            )

    def check_observation(self, observation: Observation) -> None:
        """Refuse what cannot be asked about, before it takes part in passes that others share.

        Raises:
            RigError: it has no frame; its instruction is longer than the room for it, no Unicode, or holds a fixed
                phrase; or the world has no such action.
        """
        fitting(observation.instruction, str, "the instruction")
        if not is_unicode(observation.instruction):
            raise RigError(f"the instruction {observation.instruction[:40]!r} is no Unicode: it holds half a character")
        if (count := self._length(observation.instruction)) > _INSTRUCTION_TOKENS:
            raise RigError(
                f"the instruction takes {count} tokens, and there is room for {_INSTRUCTION_TOKENS}; shorten it"
            )
        self.encoder.encode(ask_about(observation, self.space, self.config.prompt_format))

    def decide(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        substitutes: Sequence[Substitute | None] | None = None,
    ) -> list[Decision]:
        """Return a decision for each observation.

        Args:
            observations: what is seen now, one per world.
            seeds: one per observation; a decision follows from its observation and its seed alone.
            substitutes: one per observation; where given, what they show takes the place of every dream.
        """
        deciding = self.deciding(max(1, len(observations)))
        given = substitutes if substitutes is not None else [None] * len(observations)
        for key, (observation, seed, substitute) in enumerate(zip(observations, seeds, given, strict=True)):
            deciding.submit(key, observation, seed, substitute)
        return [decision for _, decision in sorted((deciding.next() for _ in observations), key=itemgetter(0))]

    def deciding(self, places: int) -> PolicyDeciding:
        """Return where observations are handed in and decisions handed out, `places` of them in the making at once."""
        speaker = self._speaker_for(places)

        def converse(
            slot: Slot, observation: Observation, seed: int, substitute: Substitute | None, planner: Planner | None
        ) -> Conversation[Decision]:
            state = DecisionState(speaker, observation, slot, seed, substitute)
            return (planner or self.config.planner).decide(state)

        return PolicyDeciding(self.engine.stream(places), converse, partial(_imagine, speaker))

    def listened(self, observation: Observation, seed: int, hear: Hear, given: Given | None = None) -> Stream[Decision]:
        """Return a stream that makes one decision, of which all is told as it is said; `advance` it to its end.

        Args:
            observation: what is seen.
            seed: the decision follows from this, from what is seen and from what is given alone.
            hear: is told.
            given: thoughts in the place of the agent's own.

        Raises:
            RigError: as of `check_observation`; or a thought that is given is empty, holds a fixed phrase, or is longer
                than the agent's may be.
        """
        given = given or Given()
        self.check_observation(observation)
        refuse_unsayable(given, self.encoder, self.config.prompt_format, self.config.thought_tokens)
        speaker, planner = self._speaker_for(1), self.config.planner

        def converse(slot: Slot) -> Conversation[Decision]:
            return planner.decide(HeardState(speaker, observation, slot, seed, hear=hear, given=given))

        stream: Stream[Decision] = self.engine.stream(1)
        stream.submit(seed, converse)
        return stream

    def dream_ahead(
        self, observations: Sequence[Observation], seeds: Sequence[int], steps: Sequence[int]
    ) -> list[list[Dream]]:
        """Return dreams from each observation, without a review: what stage S4 aligns with the engine.

        Args:
            observations: where dreams begin.
            seeds: one per observation.
            steps: how many dreams from each.
        """
        speaker = self._speaker_for(len(observations))

        def dream(slot: Slot, observation: Observation, count: int) -> Conversation[list[Dream]]:
            state = DecisionState(speaker, observation, slot)
            yield from state.observe()
            yield from state.answer()
            return list((yield from state.look_ahead(count)))

        stream: Stream[list[Dream]] = self.engine.stream(max(1, len(observations)))
        for observation, seed, count in zip(observations, seeds, steps, strict=True):
            stream.submit(seed, partial(dream, observation=observation, count=count))
        return stream.finish()

    def dream_of(self, observations: Sequence[Observation], plans: Sequence[Plan]) -> list[Dream]:
        """Return what is dreamed to come of each plan's action, each in a conversation of its own; see `check_dream`.

        Args:
            observations: what is seen.
            plans: one per observation; its thought is told where the format has thoughts, and may be empty.

        Raises:
            RigError: the agent does not dream.
        """
        self._refuse_dreamless()
        speaker = self._speaker_for(len(observations))
        stream: Stream[Dream] = self.engine.stream(max(1, len(observations)))
        for seen, plan in zip(observations, plans, strict=True):
            stream.submit(0, partial(_imagine, speaker, seen, plan))
        return stream.finish()

    def check_dream(self, observation: Observation, plan: Plan) -> None:
        """Refuse what cannot be dreamed of, before it takes part in passes that others share.

        Raises:
            RigError: the agent does not dream; as of `check_observation`; or the thought is too long or cannot be said.
        """
        self._refuse_dreamless()
        self.check_observation(observation)
        given = Given(thought=plan.thought or None if self.config.prompt_format.thought else None)
        refuse_unsayable(given, self.encoder, self.config.prompt_format, self.config.thought_tokens)

    def _refuse_dreamless(self) -> None:
        if not self.config.prompt_format.dream:
            raise RigError("this agent was trained without dreams; it cannot imagine what comes of an action")

    def propose(
        self,
        observations: Sequence[Observation],
        seeds: Sequence[int],
        *,
        plans: int,
        dreams: int,
        others: Sequence[Sequence[Plan]] | None = None,
    ) -> list[list[Plan]]:
        """Return the distinct plans that the agent has for each observation, and others, each dreamed some steps ahead.

        Args:
            observations: what is seen.
            seeds: one per observation.
            plans: proposals for each; equal ones are one plan, with so many votes.
            dreams: steps dreamed ahead of each plan, the agent itself going on behind the first.
            others: for each observation, plans of others, to be dreamed as well; one whose action the agent proposes
                too is left out. A plan without a thought is told with the agent's first one.
        """
        speaker = self._speaker_for(len(observations))

        def ahead(state: DecisionState, plan: Plan) -> Conversation[Plan]:
            yield from state.retell(plan)
            dreamed = yield from state.look_ahead(dreams)
            return replace(plan, dreams=dreamed)

        def converse(slot: Slot, seen: Observation, more: Sequence[Plan]) -> Conversation[list[Plan]]:
            state = DecisionState(speaker, seen, slot)
            yield from state.observe()
            own = merged((yield from state.fork([DecisionState.answer] * plans)))
            named = [plan if plan.thought is not None else replace(plan, thought=own[0].thought) for plan in more]
            known = {plan.action for plan in own}
            strange = [replace(plan, votes=0) for plan in merged(named) if plan.action not in known]
            return (yield from state.fork([partial(ahead, plan=plan) for plan in [*own, *strange]]))

        stream: Stream[list[Plan]] = self.engine.stream(max(1, len(observations)))
        for number, (seen, seed) in enumerate(zip(observations, seeds, strict=True)):
            more = others[number] if others is not None else ()
            stream.submit(seed, partial(converse, seen=seen, more=more))
        return stream.finish()

    def review(self, steps: Sequence[Step], seeds: Sequence[int]) -> list[Decision]:
        """Return reviews of lookaheads that are given: of each step, what was proposed and dreamed is the step's own.

        Args:
            steps: with dreams that have frames, and codes where the format dreams. A dream that is aligned with the
                engine is shown as it really came.
            seeds: one per step.
        """
        speaker = self._speaker_for(len(steps))

        def converse(slot: Slot, step: Step) -> Conversation[Decision]:
            state = DecisionState(speaker, step.observation, slot)
            plan = yield from state.read_lookahead(step)
            return state.reviewed(plan, (yield from state.answer(review=True)))

        stream: Stream[Decision] = self.engine.stream(max(1, len(steps)))
        for step, seed in zip(steps, seeds, strict=True):
            stream.submit(seed, partial(converse, step=step))
        return stream.finish()

    def judge(self, steps: Sequence[Step], seeds: Sequence[int]) -> list[Said]:
        """Return what the agent says of plans that are given: of each step the plan and its dreams are its own.

        Args:
            steps: whose dreams have frames, and codes where the format dreams; or none, to be judged unseen. A dream
                that is aligned with the engine is shown as it really came.
            seeds: one per step.

        Raises:
            RigError: the agent has not learned to judge.
        """
        refuse_unjudging(self.config.prompt_format)
        speaker = self._speaker_for(len(steps))

        def converse(slot: Slot, step: Step) -> Conversation[Said]:
            state = DecisionState(speaker, step.observation, slot)
            yield from state.read_plan(step)
            return (yield from state.judge())

        stream: Stream[Said] = self.engine.stream(max(1, len(steps)))
        for step, seed in zip(steps, seeds, strict=True):
            stream.submit(seed, partial(converse, step=step))
        return stream.finish()

    def _length(self, instruction: str) -> int:
        return len(self.encoder.tokenizer.encode(instruction))

    def _speaker_for(self, places: int) -> Speaker:
        """Return the speaker, finding codes in the way that is fastest for so many conversations at once."""
        speculation = self.engine.speculation_for(max(1, places), entropy_threshold=self.config.entropy_threshold)
        return replace(self._speaker, speculation=speculation)


def _imagine(speaker: Speaker, seen: Observation, plan: Plan, slot: Slot) -> Conversation[Dream]:
    """Return what is dreamed to come of a plan's action."""
    state = DecisionState(speaker, seen, slot)
    yield from state.observe()
    yield from state.retell(plan)
    return (yield from state.dream())
