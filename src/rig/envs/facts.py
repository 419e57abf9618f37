"""What the facts of every world have in common: a world's own are told from another's before they are read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rig.errors import RigError


def refuse_other_facts(facts: Mapping[str, Any], read: Collection[str], world: str) -> None:
    """Raise where `facts` lack any of those that are `read`, as those of another world do.

    Args:
        facts: of a step.
        read: names of facts.
        world: what the world is called in the message.

    Raises:
        RigError: there are none, or some are lacking.
    """
    if not facts:
        raise RigError(
            f"this step has no facts of {world}'s engine, as imported ones have none; take who needs nothing but the "
            "frame (docs/extending.md): --reasoner, --reviewer, --labeller"
        )
    lacking = [name for name in read if name not in facts]
    if lacking:
        raise RigError(
            f"these are no facts of {world}, for they lack {', '.join(lacking)}; take who knows the world that they "
            "are from: --reasoner, --reviewer, --labeller"
        )
