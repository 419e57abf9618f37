"""Where asking becomes a decision: messages in, messages out, whatever carries them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

from rig import __version__
from rig.actions import NOOP
from rig.agents.how import HowToPlay
from rig.agents.policy import Policy
from rig.agents.walk import seen_in
from rig.client.messages import (
    PROTOCOL,
    About,
    Ask,
    AskDreams,
    Asked,
    AskedDreams,
    Limits,
    PackedAsk,
    PackedAskDreams,
    Said,
    SaidDream,
    SaidDreams,
    frame_of,
    packed_frame_of,
    said,
    said_dream,
)
from rig.errors import RigError
from rig.model.fit import unfit_frame
from rig.records import Frame, Observation, Plan
from rig.serve.batcher import Batcher
from rig.serve.config import ServeConfig
from rig.serve.metrics import Metrics
from rig.serve.refusals import Refusing, bad_message, busy, draining
from rig.serve.session import Session
from rig.validation import parse_as

_PLACE, _FIX = "the message", "its fields are those of POST /v1/decide in /openapi.json"


class Desk:
    """Takes what is asked to the policy.

    Args:
        policy: who decides.
        about: what is said of it.
        config: of the server.
    """

    def __init__(self, policy: Policy, about: About, config: ServeConfig) -> None:
        self.policy, self.about, self.config = policy, about, config
        self.batcher = Batcher(policy, places=config.batch, waiting=config.waiting)
        self.clients = self.answering = self.made = 0
        self.metrics = Metrics(
            {
                "clients": ("Websockets that are open.", lambda: self.clients),
                "waiting": ("Decisions that wait for a place.", lambda: self.batcher.waiting),
                "making": ("Decisions that are being made.", lambda: self.batcher.making),
            }
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being decided or answered."""
        return not (self.answering or self.batcher.waiting or self.batcher.making)

    @property
    def health(self) -> str:
        """Return "ok", "draining", or "failed"."""
        if not self.batcher.is_alive:
            return "failed"
        return "draining" if self.batcher.is_draining else "ok"

    def take_in(self) -> None:
        """Count a client, until it leaves.

        Raises:
            Refusing: there are as many as may be, or the server ends.
        """
        with self.answer():
            if self.batcher.is_draining:
                raise draining()
            if self.clients >= self.config.clients:
                raise busy(f"{self.clients} clients are connected, and no more may")
        self.clients += 1

    @contextmanager
    def answer(self) -> Iterator[None]:
        """Have the end of the server wait for what is done in this block; count what is refused in it."""
        self.answering += 1
        try:
            yield
        except Refusing as refusal:
            self.metrics.refusals.labels(refusal.code).inc()
            raise
        finally:
            self.answering -= 1

    async def decide(self, data: bytes, session: Session, transport: str) -> Said:
        """Return the answer to a message of a client.

        Args:
            data: the message, in msgpack of a "websocket", else in JSON.
            session: of the client.
            transport: "websocket" or "http".

        Raises:
            Refusing: the message is none, there is no room, or the decision failed.
        """
        self.batcher.refuse_if_full()
        started = time.perf_counter()
        try:
            ask, frame = self._read(data, is_packed=transport == "websocket")
            seen, seed = session.asked(ask, frame)
            self.policy.check_observation(seen)
        except RigError as error:
            raise bad_message(error) from error
        decision = await asyncio.wrap_future(self.batcher.submit(seen, seed))
        session.decided(ask, seen, decision)
        self.made += 1
        self.metrics.decisions.labels(transport).inc()
        self.metrics.seconds.observe(time.perf_counter() - started)
        return said(decision, self.policy.space, seed)

    async def dream(self, data: bytes, transport: str) -> SaidDreams:
        """Return what is dreamed to come of the actions of a message, each frame of the one before it alone.

        Args:
            data: the message, in msgpack of a "websocket", else in JSON.
            transport: "websocket" or "http".

        Raises:
            Refusing: the message is none, the agent does not dream, there is no room, or a dream failed.
        """
        self.batcher.refuse_if_full()
        try:
            seen, plans = self._read_dreams(data, is_packed=transport == "websocket")
            for plan in plans:
                self.policy.check_dream(seen, plan)
        except RigError as error:
            raise bad_message(error) from error
        dreams, (height, width, _) = list[SaidDream](), seen.frame.shape
        for plan in plans:
            dream = await asyncio.wrap_future(self.batcher.submit_dream(seen, plan, goes_on=bool(dreams)))
            seen = seen_in(dream, seen)
            shown = replace(dream, frame=unfit_frame(seen.frame, height, width))
            dreams.append(said_dream(shown, self.policy.space))
        self.metrics.dreams.labels(transport).inc(len(dreams))
        return SaidDreams(dreams=dreams)

    def _read_dreams(self, data: bytes, *, is_packed: bool) -> tuple[Observation, list[Plan]]:
        """Return where dreams are to begin, and what is to be done, each with its thought.

        Raises:
            RigError: there is not a thought for each, or the message is none.
        """
        ask: AskedDreams
        if is_packed:
            packed = parse_as(data, PackedAskDreams, "msgpack", _PLACE, _FIX)
            ask, frame = packed, packed_frame_of(packed.frame)
        else:
            plain = parse_as(data, AskDreams, "json", _PLACE, _FIX)
            ask, frame = plain, frame_of(plain.frame)
        self._refuse_long(ask.instruction)
        thoughts = ask.thoughts if ask.thoughts is not None else ("",) * len(ask.actions)
        if len(thoughts) != len(ask.actions):
            raise RigError(f"{len(thoughts)} thoughts for {len(ask.actions)} actions; give one for each")
        actions = map(self.policy.space.parse, ask.actions)
        plans = [Plan(thought=thought, action=action) for thought, action in zip(thoughts, actions, strict=True)]
        return Observation(frame=frame, instruction=ask.instruction, previous_action=NOOP), plans

    def _read(self, data: bytes, *, is_packed: bool) -> tuple[Asked, Frame]:
        if is_packed:
            packed = parse_as(data, PackedAsk, "msgpack", _PLACE, _FIX)
            return self._checked(packed), packed_frame_of(packed.frame)
        ask = parse_as(data, Ask, "json", _PLACE, _FIX)
        return self._checked(ask), frame_of(ask.frame)

    def _checked(self, ask: Asked) -> Asked:
        self._refuse_long(ask.instruction)
        return ask

    def _refuse_long(self, instruction: str) -> None:
        count, most = len(instruction), self.config.instruction_characters
        if count > most:
            raise RigError(f"the instruction has {count} characters, and {most} are the most; shorten it")


def about_policy(policy: Policy, how: HowToPlay, name: str, environment: str, config: ServeConfig) -> About:
    """Return what a server says of the policy that it serves.

    Args:
        policy: who decides.
        how: as it was told to.
        name: what the agent is called.
        environment: the world that it was trained in.
        config: of the server.
    """
    return About(
        protocol=PROTOCOL,
        version=__version__,
        agent=name,
        environment=environment,
        action_space=asdict(policy.space),
        prompt_format=asdict(policy.config.prompt_format),
        deciding=how.told(policy.config.planner),
        runs_in=dict(policy.engine.model.runs_in),
        limits=Limits(
            clients=config.clients,
            waiting=config.waiting,
            frame_bytes=config.frame_bytes,
            instruction_characters=config.instruction_characters,
        ),
    )
