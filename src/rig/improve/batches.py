"""What a network learns of its own play, round after round: `rig.train.batches.Batches` that play when they are asked.

A round is played with the network as it is; its attempts become so many steps' packs; then the next is played. The
gradient is that of the policy whose attempts are worth most (REINFORCE with the group's mean as its baseline): every
token weighs what its attempt's advantage is. A token that could not have been another weighs nothing. What has become
likelier than it was to the agent at the start counts against the token that was written (KL).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from rig.agents import Basic, PolicyActor
from rig.dialogue import TokenSequence, as_written
from rig.errors import RigError
from rig.improve.attempts import Outcome, play_round
from rig.improve.config import ImproveConfig
from rig.model import RIG, PackedBatch, pack
from rig.records import Step
from rig.train.batches import BatchProgress, StepPacks
from rig.train.conversations import Conversations
from rig.train.entropy import cross_entropy

T = TypeVar("T")

SURE = 1e-3
"""A token whose log-probability is nearer to 0 than this could hardly have been another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """A decision to learn: as it was written, what its tokens weigh, and how likely they were.

    Attributes:
        sequence: the conversation.
        log_probs: float32 [n], of those of its tokens that weigh something, when they were written.
    """

    sequence: TokenSequence
    log_probs: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class _Update:
    """What one step of a round learns.

    Attributes:
        packs: its packs, and how many conversations each has; none where there is nothing to learn.
        own: those of them that hold the network's own play.
        before: float32 [n], how likely the network found their tokens when it played; None where nobody asks.
    """

    packs: Sequence[tuple[PackedBatch, int]] = ()
    own: Sequence[PackedBatch] = ()
    before: Tensor | None = None


class ImprovingBatches:
    """Packs of a network's own attempts.

    Args:
        config: what to play, and what to learn of it.
        actor: plays, by an engine over the network that learns.
        start: the network at the start; None where nothing counts against leaving it.
        environment: where to play.
        name: the agent's, for lineage.
        replay: conversations that go on being learned beside; None: none.
        tell: called with (step, values) after each round is played, and where one's learning is ended.

    Raises:
        RigError: a decision may be longer than a pack.
    """

    steps = None
    ahead = False

    def __init__(
        self,
        config: ImproveConfig,
        actor: PolicyActor,
        start: RIG | None,
        environment: str,
        name: str,
        replay: Conversations | None,
        tell: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        self.config, self.actor, self.environment, self.name, self.tell = config, actor, environment, name, tell
        self._start, self._replay = start, replay
        self._step = self._conversations = self._tokens = self._replayed = 0
        self._coming: list[_Update] = []
        # Who leads to states at which plans are dreamed need not dream.
        self._wanderer = _at_once(actor) if config.play.in_dreams else actor
        policy, length = actor.policy, config.lessons.pack_tokens
        longest = policy.config.capacity(policy.encoder, policy.space, dreams=0)
        if length < longest:
            raise RigError(f"pack_tokens={length}: a decision of this agent may take {longest} tokens; give so many")
        if replay is not None:
            replay.leave_out_longer(config.lessons.pack_tokens)

    def progress(self) -> BatchProgress:
        """Return how far this has come."""
        counts = torch.tensor([self._conversations, self._tokens, self._replayed])
        return BatchProgress(conversations=self._conversations, tokens=self._tokens, state={"improving": counts})

    def go_on(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Go on behind `step` steps, which end a round: the next one is played as if none had ever been cut."""
        self._step = step
        self._conversations, self._tokens, self._replayed = state["improving"].tolist()

    def next_packs(self) -> StepPacks:
        """Return the packs of the next step; where a round begins, play it.

        Once the network has moved too far from itself as it played, what is left of the round is passed over.
        """
        number, update = divmod(self._step, self.config.lessons.updates)
        if update == 0:
            self._coming = self._round(number)
        elif self._has_moved(self._coming[update]):
            self._coming[update:] = [_Update()] * (self.config.lessons.updates - update)
        self._step += 1
        packs = self._coming[update].packs or [self._nothing()]
        self._conversations += sum(count for _, count in packs)
        self._tokens += sum(len(batch) for batch, _ in packs)
        return StepPacks(packs=packs, progress=self.progress())

    def _has_moved(self, coming: _Update) -> bool:
        """Return whether the network has moved too far from who wrote what comes, and tell so."""
        most = self.config.lessons.most_kl
        if most is None or coming.before is None:
            return False
        moved = float((coming.before - self._likely(coming.own)).mean())
        if moved > most:
            self.tell(self._step, {"stopped/kl": moved, "stopped/updates": self._step % self.config.lessons.updates})
        return moved > most

    def _likely(self, own: Sequence[PackedBatch]) -> Tensor:
        """Return how likely the network as it is finds the tokens of packs of its own play, float32 [n] on the CPU."""
        return torch.cat([log_probs_of(self.actor.policy.engine.model, batch) for batch in own])

    def _round(self, number: int) -> list[_Update]:
        """Play a round, and return what each of its steps learns."""
        config, seed = self.config, self.config.training.seed
        self.actor.policy.engine.refresh()
        groups = play_round(
            config.play,
            self.actor,
            self.environment,
            number=number,
            seed=seed,
            name=self.name,
            wanderer=self._wanderer,
        )
        random = np.random.default_rng([seed, number, 2])
        lessons = list(self._lessons(groups, random))
        random.shuffle(lessons)
        updates = config.lessons.updates
        told = dict(_told(groups, done=not config.play.in_dreams), decisions=float(len(lessons)))
        coming, drift = [], []
        for update in range(updates):
            some = lessons[update::updates]
            fitting = _fitting(some, config.lessons.pack_tokens, lambda lesson: len(lesson.sequence))
            own = [self._packed(part) for part in fitting]
            drift += [kl for _, _, kl in own]
            mine, replayed = [(batch, count) for batch, count, _ in own], list(self._replayed_packs(len(some)))
            batches = [batch for batch, _ in mine]
            asked = batches and update > 0 and config.lessons.most_kl is not None
            coming.append(
                _Update(
                    packs=[*mine, *_weighed(replayed, mine, config.lessons.replay)],
                    own=batches,
                    before=self._likely(batches) if asked else None,
                )
            )
        told |= {"kl": float(np.mean(drift))} if drift and self._start is not None else {}
        self.tell(self._step + 1, {f"play/{name}": value for name, value in told.items()})
        return coming

    def _lessons(self, groups: Sequence[Sequence[Outcome]], random: np.random.Generator) -> Iterator[Lesson]:
        """Yield the decisions to learn: of each attempt that teaches something, as many as of another."""
        lessons = self.config.lessons
        weighed = [(one, weight) for group in groups for one in group if (weight := self._weight(one))]
        order = random.permutation(len(weighed))
        left = lessons.decisions
        for place, index in enumerate(order):
            outcome, weight = weighed[index]
            steps = outcome.trajectory.steps
            count = min(len(steps), -(-left // (len(weighed) - place)))
            for chosen in sorted(random.choice(len(steps), count, replace=False)):
                left -= 1
                yield from self._lesson(steps[int(chosen)], weight)

    def _weight(self, outcome: Outcome) -> float:
        if self.config.lessons.learn == "advantage":
            return outcome.advantage
        return float(outcome.trajectory.success)

    def _lesson(self, step: Step, weight: float) -> Iterator[Lesson]:
        """Yield a decision as it is learned; nothing of one in which there was nothing to choose."""
        tokens = step.tokens
        assert tokens is not None, "a policy has decided"
        assert tokens.log_probs is not None, "the policy was asked for log-probabilities"
        free = tokens.log_probs < -SURE
        if not free.any():
            return
        policy = self.actor.policy
        sequence = as_written(
            step,
            policy.space,
            policy.encoder,
            policy.config.prompt_format,
            np.where(free, np.float32(weight), np.float32(0)),
        )
        yield Lesson(sequence=sequence, log_probs=tokens.log_probs[free])

    def _packed(self, lessons: Sequence[Lesson]) -> tuple[PackedBatch, int, float]:
        """Return lessons as a pack with what counts against them in it, their number, and the KL that they show."""
        batch = pack([lesson.sequence for lesson in lessons], length=self.config.lessons.pack_tokens)
        if self._start is None:
            return batch, len(lessons), 0.0
        before = torch.from_numpy(np.concatenate([lesson.log_probs for lesson in lessons]))
        gained = before - log_probs_of(self._start, batch)
        weights = batch.text_weights - self.config.lessons.kl * gained
        return replace(batch, text_weights=weights), len(lessons), float(gained.mean())

    def _nothing(self) -> tuple[PackedBatch, int]:
        """Return a pack of padding: a round in which all attempts of a state did alike has nothing to teach."""
        return pack([], length=self.config.lessons.pack_tokens), 0

    def _replayed_packs(self, own: int) -> Iterator[tuple[PackedBatch, int]]:
        """Yield packs of the datasets' conversations, as many as belong beside so many lessons."""
        if self._replay is None:
            return
        share, length = self.config.lessons.replay, self.config.lessons.pack_tokens
        wanted = round(max(own, 1) * share / (1 - share))
        drawn = map(self._replay.draw, range(self._replayed, self._replayed + wanted))
        self._replayed += wanted
        for some in _fitting(drawn, length, len):
            yield pack(some, length=length), len(some)


def _at_once(actor: PolicyActor) -> PolicyActor:
    """Return who acts at once, by the same engine."""
    return PolicyActor(actor.policy.configured(replace(actor.policy.config, planner=Basic())))


def _fitting(items: Iterable[T], length: int, size: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield items, in their order, in as many as fit a pack of `length`; none of them is longer."""
    part: list[T] = []
    room = length
    for item in items:
        if size(item) > room:
            yield part
            part, room = [], length
        part.append(item)
        room -= size(item)
    if part:
        yield part


def _weighed(
    replayed: Sequence[tuple[PackedBatch, int]], own: Sequence[tuple[PackedBatch, int]], share: float
) -> Iterator[tuple[PackedBatch, int]]:
    """Yield what is replayed with its share of a step, however many tokens it has.

    An image has dozens of tokens, and a decision few that could have been others.
    """
    tokens = [sum(len(batch.text_rows) + len(batch.code_rows) for batch, _ in packs) for packs in (replayed, own)]
    factor = share / (1 - share) * tokens[1] / max(1, tokens[0]) if tokens[1] else 1.0
    for batch, count in replayed:
        text, codes = batch.text_weights * factor, batch.code_weights * factor
        yield replace(batch, text_weights=text, code_weights=codes), count


@torch.no_grad()
def log_probs_of(model: RIG, batch: PackedBatch) -> Tensor:
    """Return how likely `model` finds the text tokens that a pack predicts, float32 [n] on the CPU."""
    moved = batch.to(model.device)
    hidden = model.hidden(moved)[moved.text_rows]
    _, losses, _ = cross_entropy(hidden, model.lm_head, moved.text_targets, torch.ones_like(moved.text_weights))
    return -losses.float().cpu()


def _told(groups: Sequence[Sequence[Outcome]], *, done: bool) -> Iterator[tuple[str, float]]:
    """Yield what is logged of a round; `done` where attempts were, and not dreamed alone."""
    everyone = list(chain.from_iterable(groups))
    fresh = [one for one in everyone if one.attempt.midway is None]
    if done:
        yield "success", float(np.mean([one.trajectory.success for one in everyone]))
        yield "steps", float(np.mean([len(one.trajectory.steps) for one in everyone]))
    if done and fresh:
        yield "success_from_start", float(np.mean([one.trajectory.success for one in fresh]))
    yield "worth", float(np.mean([one.worth for one in everyone]))
    yield "groups", float(len(groups))
    yield "open_groups", float(sum(any(one.advantage for one in group) for group in groups))
