"""The server of `rig playground`: uvicorn, behind the guard of `rig serve`."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType

import uvicorn

from rig.playground.app import Doors, TokenInCookie, make_app
from rig.playground.config import PlaygroundConfig
from rig.playground.house import open_house
from rig.serve.guard import Guard, token_of
from rig.serve.server import address_of, listen, settings_of


class Server(uvicorn.Server):
    """A server that ends at the first signal, once its sessions have kept what they have.

    Args:
        doors: who answers.
        token: what browsers are to show, if anything.
        ready: called when it listens.
    """

    def __init__(self, doors: Doors, token: bytes | None, ready: Callable[[], None]) -> None:
        config = doors.house.config.serving
        guard = Guard(make_app(doors), config, token, lambda code: None)
        super().__init__(settings_of(TokenInCookie(guard) if token else guard, config))
        self._ready = ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End; a second signal ends at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        self._ready()


def serve_playground(config: PlaygroundConfig, ready: Callable[[str], None], tell: Callable[[str], None]) -> int:
    """Serve the page until SIGTERM or SIGINT; return how many episodes were recorded.

    Args:
        config: who plays, and where.
        ready: called with the address, "host:port", when it listens.
        tell: told of what a server left that was killed.

    Raises:
        RigError: it cannot be listened there, a token is needed, or recordings could not be kept.
        CheckpointError: the agent cannot be loaded, or cannot play in the world.
    """
    token = token_of(config.serving)
    with listen(config.serving) as listening:
        doors = Doors(open_house(config, tell))
        address = address_of(listening)
        try:
            Server(doors, token, lambda: ready(address)).run([listening])
        finally:
            doors.close()
    return len(doors.house.shelf.kept)
