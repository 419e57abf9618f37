"""What an annotator cost: counted by whoever charges for it, and kept with the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from rig.validation import Meta

Count = Annotated[int, Meta(ge=0)]
Dollars = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What was answered for one account, over all runs.

    Attributes:
        calls: answers that it was charged for.
        tokens_in: tokens that were read for them.
        tokens_out: tokens that were written.
        estimated: calls of which the server did not say the tokens, which are estimated.
        usd: what they cost; None where no price is known.
        cached: answers that another account, or a batch, had been charged for.
        cached_usd: what those cost then.
        failures: kind -> attempts that failed so, and were made again.
        given_up: how often a question was left without an answer; it may have been answered in a later run.
        maybe_charged: attempts that broke off when the answer may have been on its way.
        maybe_charged_usd: what those may have cost at the most.
    """

    calls: Count = 0
    tokens_in: Count = 0
    tokens_out: Count = 0
    estimated: Count = 0
    usd: Dollars | None = None
    cached: Count = 0
    cached_usd: Dollars = 0.0
    failures: Mapping[str, Count] = field(default_factory=dict)
    given_up: Count = 0
    maybe_charged: Count = 0
    maybe_charged_usd: Dollars = 0.0
