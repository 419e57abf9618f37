"""What a conversation can wish for, and what it is sent when that is fulfilled; `rig.engine.stream` fulfils it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rig.dialogue import TokenSequence
from rig.engine.constrain import Constraint
from rig.engine.sampling import Sampler
from rig.engine.speculation import ONE_BY_ONE, Speculation
from rig.records import Codes

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Prefill:
    """Take in context; nothing is sent back."""

    tokens: TokenSequence


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerateText:
    """Write text until the constraint is done; what is sent back is a `GeneratedText`.

    Attributes:
        constraint: what may be written.
        sampler: how tokens are drawn.
        log_probs: also say how likely each was.
        choices: also say how likely everything else was that could have been written.
        heard: called after each token with all that are written so far; it must not raise.
    """

    constraint: Constraint
    sampler: Sampler
    log_probs: bool = False
    choices: bool = False
    heard: Callable[[Sequence[int]], None] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedText:
    """Text as it was written.

    Attributes:
        ids: the tokens.
        log_probs: float32 [len(ids)], of each token in the distribution that it was drawn from, where asked for.
        choices: for each token the log-probability of all that the constraint allowed in its place, by id, at
            temperature 1 and among these alone, where asked for.
    """

    ids: list[int]
    log_probs: NDArray[np.float32] | None = None
    choices: list[dict[int, float]] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Guidance:
    """What an image is guided away from: what would be written behind another context (see `rig.engine.writing.Guide`).

    Attributes:
        tokens: the context without the condition, up to the image's begin marks.
        weight: how far; 0 is off.
    """

    tokens: TokenSequence
    weight: float


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerateImage:
    """Write an image behind its begin marks; what is sent back is a `GeneratedImage`.

    Attributes:
        sampler: how codes are drawn.
        speculation: how they are found.
        draft: uint16 [write_tokens], the first guesses.
        guidance: what to draw the image away from; None for plain drawing.
    """

    sampler: Sampler
    speculation: Speculation = ONE_BY_ONE
    draft: Codes | None = None
    guidance: Guidance | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedImage:
    """An image as it was written.

    Attributes:
        codes: uint16 [write_tokens], in raster order.
        entropy: of the model's whole distribution over the codebook, before any temperature or truncation, in nats per
            code, averaged over the image.
        passes: how often the decoder ran for it.
    """

    codes: Codes
    entropy: float
    passes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class WeighImage:
    """Let an image stand behind its begin marks, and say how likely it was; what is sent back is a `WeighedImage`.

    Attributes:
        codes: uint16 [write_tokens], in raster order.
    """

    codes: Codes


@dataclass(frozen=True, kw_only=True, eq=False)
class WeighedImage:
    """How likely an image was, before any temperature or truncation.

    Attributes:
        log_probs: float32 [write_tokens], of each code behind those before it.
    """

    log_probs: NDArray[np.float32]


@dataclass
class Slot:
    """Where a conversation stands.

    Attributes:
        next_position: the position that plainly follows its last token.
        length: the tokens it holds.
    """

    next_position: int = 0
    length: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Fork:
    """Go on in several ways at once, each from what the conversation holds now.

    What is sent back, when all of them have ended, is the list of what they returned, in the order of `programs`. The
    conversation itself holds what it held; what was read before the fork is kept once for all. The first way of a
    conversation's first fork draws as the conversation would have without it: so does a choice among several proposals
    begin with the one that stands alone otherwise. All others have draws of their own. Draws follow from the
    conversation's seed alone, whoever shares the passes.

    Attributes:
        programs: the ways.
        anew: let each begin with nothing before it: conversations of their own, on the side.
    """

    programs: Sequence[Program[Any]]
    anew: bool = False


Wish = Prefill | GenerateText | GenerateImage | WeighImage | Fork
Conversation = Generator[Wish, Any, T]
Program = Callable[[Slot], "Conversation[T]"]
