"""What `rig serve` is configured by; free of torch and of the server's libraries."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from rig.errors import at_least_one, within


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Where decisions are served, and how much of it.

    Attributes:
        host: where to listen: this machine alone, unless told otherwise. Elsewhere a token is needed.
        port: 0 takes a free one, which is told.
        token_file: a file with the token that clients are to send; where empty, the variable RIG_SERVE_TOKEN has it.
        clients: websockets at once.
        batch: decisions that share the engine's passes.
        waiting: decisions that wait at the most for one of these.
        frame_bytes: of a message, frame and all.
        instruction_characters: of an instruction.
        idle_seconds: how long a client may say nothing, or half a message.
        send_seconds: how long a client may take to read an answer.
        drain_seconds: how long, at the end, decisions that were begun are waited for.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token_file: str = ""
    clients: int = 64
    batch: int = 16
    waiting: int = 64
    frame_bytes: int = 4_000_000
    instruction_characters: int = 1_000
    idle_seconds: float = 600.0
    send_seconds: float = 20.0
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        within(0, 65535, port=self.port)
        at_least_one(clients=self.clients, batch=self.batch, waiting=self.waiting, frame_bytes=self.frame_bytes)
        at_least_one(instruction_characters=self.instruction_characters)
        within(0, above=True, idle_seconds=self.idle_seconds, send_seconds=self.send_seconds)
        within(0, drain_seconds=self.drain_seconds)

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can connect."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
