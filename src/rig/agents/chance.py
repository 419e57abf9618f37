"""A judge of plans that knows nothing: what choosing among several plans is worth where nobody judges."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from rig.agents.judges import PLAN_JUDGES
from rig.agents.state import DecisionState
from rig.engine import Conversation
from rig.records import Plan


class Chance:
    """Finds the plans of a decision good in an order that its seed alone gives."""

    looks = True

    def score(self, state: DecisionState, plan: Plan) -> Conversation[float]:
        """Return a number from 0 to 1."""
        yield from ()
        named = crc32(state.speaker.space.format(plan.action).encode())
        return float(np.random.default_rng([state.seed, named]).random())


PLAN_JUDGES.add("chance", Chance)
