"""What a conversation is made of: text, images that are read, images that are written, and the end of a turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from rig.records import Codes, Frame


class Role(IntEnum):
    """What a token stands for; losses and costs are reported per role."""

    PROMPT = 0
    THOUGHT = 1
    ACTION = 2
    IMAGE = 3


@dataclass(frozen=True, kw_only=True)
class Text:
    """A run of text.

    Attributes:
        text: the characters.
        role: what the run stands for.
        literal: True for fixed phrases and action texts, which a small tokenizer writes as single tokens.
        weight: of each of its tokens in training; 0 where the run is context.
        aligned: True where the run begins at an aligned position, so that it lies at a fixed distance from the image
            before it, however long the prompt between them is.
    """

    text: str
    role: Role = Role.PROMPT
    literal: bool = False
    weight: float = 0.0
    aligned: bool = field(default=False, compare=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadImage:
    """An image that the model sees through its understanding encoder, uint8 [H, W, 3]."""

    frame: Frame


@dataclass(frozen=True, kw_only=True, eq=False)
class WriteImage:
    """An image that the model writes, as VQ codes.

    Attributes:
        codes: the codes in raster order.
        weight: of each of them in training; 0 where they are context.
    """

    codes: Codes
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class End:
    """The end of one of the model's turns, and what it weighs in training."""

    weight: float = 0.0


Segment = Text | ReadImage | WriteImage | End
