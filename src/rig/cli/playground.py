"""The verb that serves the playground."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from rig.cli.flags import Flags
from rig.playground.config import PlaygroundConfig


@dataclass(frozen=True, kw_only=True)
class Playground(Flags, PlaygroundConfig):
    """Serve a page on which an agent is watched, its imagination walked through, and play recorded as a dataset.

    Example: rig playground --agent checkpoints/rig-crafter-small
    """

    def run(self) -> dict[str, Any]:
        """Serve, until SIGTERM or SIGINT."""
        from rig.registry import require

        for module in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
            require(module, "serve")
        from rig.playground.server import serve_playground

        config = self.part(PlaygroundConfig)
        kept = serve_playground(config, self._tell_address, _tell)
        return {"text": f"{kept} episodes were recorded", "episodes": kept}

    def _tell_address(self, address: str) -> None:
        _tell(f"open http://{address}/ in a browser; Ctrl-C ends it")


def _tell(line: str) -> None:
    print(f"rig playground: {line}", file=sys.stderr, flush=True)
