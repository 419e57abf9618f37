"""What `rig playground` is configured by; free of torch and of the server's libraries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rig.agents.checkpoint import Dtype
from rig.errors import RigError, at_least_one, within
from rig.serve.config import ServeConfig

MESSAGE_BYTES = 16_384
"""Of a message of the page: a thought and an instruction fit, and nothing large does."""


@dataclass(frozen=True, kw_only=True)
class PlaygroundConfig:
    """Who plays on the page, where it is served, and where what a person plays is kept.

    Attributes:
        agent: folder of a trained agent; where empty, the one that comes with rig for the environment.
        environment: the world; where empty, the agent's own.
        host: where to listen: this machine alone, unless told otherwise. Elsewhere a token is needed.
        port: 0 takes a free one, which is told.
        token_file: a file with the token that is asked for; where empty, the variable RIG_SERVE_TOKEN has it.
        record: the dataset that recorded episodes are added to; it is begun with the first.
        dreams: the most dreams of a lookahead that the page offers.
        plans: k, the plans of the best-of that it offers.
        entropy_threshold: of dreams in few passes, as in `rig eval`; 0 writes each exactly.
        temperature: of thoughts and actions; 0 takes the likeliest.
        thought_tokens: the longest thought.
        dtype: what the network computes in.
        hertz: steps a second of a recording; 0 is as many as the world's clock has, or 10 where it has none.
        sessions: pages at once, each with a world of its own.
        messages_per_second: that a page may send, on average.
        send_seconds: how long a page may take to read an answer.
    """

    agent: str = ""
    environment: str = ""
    host: str = "127.0.0.1"
    port: int = 8010
    token_file: str = ""
    record: str = "runs/playground/s0"
    dreams: int = 3
    plans: int = 4
    entropy_threshold: float = 0.1
    temperature: float = 0.5
    thought_tokens: int = 96
    dtype: Dtype = "auto"
    hertz: float = 0.0
    sessions: int = 4
    messages_per_second: float = 60.0
    send_seconds: float = 20.0

    def __post_init__(self) -> None:
        at_least_one(sessions=self.sessions, plans=self.plans, thought_tokens=self.thought_tokens)
        within(0, 8, dreams=self.dreams)
        within(0, 1000, hertz=self.hertz)
        within(0, entropy_threshold=self.entropy_threshold, temperature=self.temperature)
        within(0, above=True, messages_per_second=self.messages_per_second, send_seconds=self.send_seconds)
        if not Path(self.record).name:
            raise RigError(f"--record {self.record!r}: name a folder for the dataset")

    @property
    def serving(self) -> ServeConfig:
        """The same as a server has it."""
        return ServeConfig(
            host=self.host,
            port=self.port,
            token_file=self.token_file,
            clients=self.sessions,
            frame_bytes=MESSAGE_BYTES,
            send_seconds=self.send_seconds,
        )
