"""The verb that serves decisions."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Literal

from rig.agents.checkpoint import Dtype
from rig.cli.flags import Flags
from rig.evaluate.config import EmbodiedConfig
from rig.serve.config import ServeConfig


@dataclass(frozen=True, kw_only=True)
class Serve(Flags, ServeConfig):
    """Serve an agent's decisions over a websocket and HTTP, to many clients that share the network's passes.

    Example: rig serve --agent runs/rig/agent --dreams 1 --port 8000

    Attributes:
        agent: folder of a trained agent.
        dreams: n of the lookahead; 0 acts at once. Of several plans each is dreamed so far.
        stop_entropy: as in `rig eval`, as are all that follow.
        entropy_threshold: of dreams in few passes.
        plans: k, how many plans are proposed; of more than one the best is taken.
        judge: who says what each of several plans is worth.
        planner: another way to decide, by its name.
        planner_options: of that planner, each as "name=value".
        read_back: how dreams are read.
        bind_verdicts: a review that says "keep the plan" does what was planned.
        thought_tokens: the longest thought.
        temperature: of thoughts and actions; 0 takes the likeliest.
        dtype: what the network computes in; in bfloat16 a decision may turn out otherwise in other company.
        imagine: without a lookahead, dream the next frame all the same, to be shown.
    """

    agent: str
    dreams: int = 0
    stop_entropy: float | None = None
    entropy_threshold: float = 0.0
    plans: int = 1
    judge: str = EmbodiedConfig.judge
    planner: str = ""
    planner_options: tuple[str, ...] = ()
    read_back: Literal["pixels", "codes"] = "pixels"
    bind_verdicts: bool = True
    thought_tokens: int = EmbodiedConfig.thought_tokens
    temperature: float = EmbodiedConfig.temperature
    dtype: Dtype = "auto"
    imagine: bool = False

    def run(self) -> dict[str, Any]:
        """Serve, until SIGTERM or SIGINT."""
        from rig.registry import require

        for module in ("fastapi", "uvicorn", "websockets", "prometheus_client"):
            require(module, "serve")
        from rig.evaluate.embodied import how_to_play
        from rig.serve.server import serve

        config = self.part(ServeConfig)
        desk = serve(self.agent, how_to_play(self.part(EmbodiedConfig)), config, self._tell)
        made = int(desk.made)
        return {"text": f"{made} decisions were served", "decisions": made}

    def _tell(self, address: str) -> None:
        told = f"{self.agent} decides at ws://{address} and http://{address}/v1/decide; SIGTERM or Ctrl-C ends it"
        print(f"rig serve: {told}", file=sys.stderr, flush=True)
