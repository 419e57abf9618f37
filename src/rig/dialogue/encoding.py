"""Segments to token sequences and back.

A token sequence holds text ids, the places of read images, and VQ codes, with a position for each token. Image blocks
can start at multiples of `image_alignment`: then an imagined frame stands at a constant distance from the frame it
continues, whatever the length of the thought between them, and a small model finds "the same cell, one to the left"
at a fixed relative position. Alignment 1 is Janus's own plain counting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rig.dialogue.segments import End, ReadImage, Role, Segment, Text, WriteImage
from rig.dialogue.tokenizer import TextTokenizer
from rig.errors import DialogueError
from rig.records import Frame


class Kind(IntEnum):
    """How a token is embedded and predicted."""

    TEXT = 0
    READ = 1
    CODE = 2


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The sizes of images in tokens, and how positions count.

    Attributes:
        read_tokens: features of one image in the understanding encoder.
        write_tokens: VQ codes of one image.
        image_alignment: an image's first token stands at a multiple of this position; 1 counts plainly.
        write_stride: how many codes ahead each token of a written image predicts. So many begin marks stand before it,
            and so many codes are written in one pass; Janus has 1.
    """

    read_tokens: int
    write_tokens: int
    image_alignment: int = 1
    write_stride: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenSequence:
    """One conversation as tokens; T is its length.

    Attributes:
        ids: int32 [T]: a text id, a VQ code, or (for read images) the placeholder's id.
        kinds: uint8 [T], values of `Kind`.
        roles: uint8 [T], values of `Role`.
        weights: float32 [T]: what the loss of predicting each token from the ones before it is multiplied by. 1 is
            plain imitation, a fraction learns less of it, a negative one leads away from it; 0 is context, which
            nothing predicts.
        positions: int32 [T], strictly increasing.
        frames: the read images in order, each uint8 [H, W, 3].
    """

    ids: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    roles: NDArray[np.uint8]
    weights: NDArray[np.float32]
    positions: NDArray[np.int32]
    frames: tuple[Frame, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def targets(self) -> NDArray[np.bool_]:
        """Which tokens training predicts, bool [T]: those that weigh something."""
        return np.not_equal(self.weights, 0)

    @property
    def next_position(self) -> int:
        """The position of the token that plainly follows."""
        return int(self.positions[-1]) + 1 if len(self) else 0


class _Builder:
    def __init__(self, position: int, alignment: int) -> None:
        self.rows: list[tuple[NDArray[np.int32], int, int, float, NDArray[np.int32]]] = []
        self.frames: list[Frame] = []
        self.position = position
        self.alignment = alignment

    def add(self, ids: Sequence[int] | NDArray[np.integer], kind: Kind, role: Role, weight: float = 0.0) -> None:
        values = np.asarray(ids, np.int32)
        positions = np.arange(self.position, self.position + len(values), dtype=np.int32)
        self.rows.append((values, kind, role, weight, positions))
        self.position += len(values)

    def align(self, marks: int = 1) -> None:
        """Move on so that an image's first token, behind so many begin marks, is aligned."""
        self.position = -(-(self.position + marks) // self.alignment) * self.alignment - marks

    def align_text(self) -> None:
        """Move on to the next position at which aligned text begins: halfway between images, or where one may begin."""
        step = max(1, self.alignment // 2)
        self.position = -(-self.position // step) * step

    def build(self) -> TokenSequence:
        lengths = [len(ids) for ids, *_ in self.rows]

        def spread(column: int, dtype: type) -> NDArray[Any]:
            return np.repeat(np.array([row[column] for row in self.rows], dtype), lengths)

        empty = np.zeros(0, np.int32)
        return TokenSequence(
            ids=np.concatenate([empty, *(row[0] for row in self.rows)]),
            kinds=spread(1, np.uint8),
            roles=spread(2, np.uint8),
            weights=spread(3, np.float32),
            positions=np.concatenate([empty, *(row[4] for row in self.rows)]),
            frames=tuple(self.frames),
        )


class SegmentEncoder:
    """Turns segments into tokens and tokens into segments, for one tokenizer and layout.

    Args:
        tokenizer: of the text.
        layout: the sizes of images in tokens.
        fit: brings a frame that is read to the model's size; frames stay as they are where None.
    """

    def __init__(self, tokenizer: TextTokenizer, layout: Layout, fit: Callable[[Frame], Frame] | None = None) -> None:
        self.tokenizer = tokenizer
        self.layout = layout
        self._fit = fit
        self._literal_length = lru_cache(maxsize=4096)(lambda text: len(tokenizer.encode(text, literal=True)))

    def encode(self, segments: Sequence[Segment], *, start: int = 0, begin: bool = True) -> TokenSequence:
        """Return the tokens of `segments`.

        Args:
            segments: the conversation, or a continuation of one.
            start: position of the first token.
            begin: whether to open with the beginning-of-sentence token.

        Raises:
            DialogueError: an image to be written has another number of codes than the layout says.
        """
        builder = _Builder(start, self.layout.image_alignment)
        if begin:
            builder.add([self.tokenizer.bos], Kind.TEXT, Role.PROMPT)
        for segment in segments:
            self._add(builder, segment)
        return builder.build()

    def length(self, segments: Sequence[Segment], *, begin: bool = True) -> int:
        """Return how many tokens `encode` makes of `segments`, without a look at any image.

        Raises:
            DialogueError: as `encode` does.
        """
        return int(begin) + sum(self._length(segment) for segment in segments)

    def open_image(self, start: int) -> TokenSequence:
        """Return the tokens after which the model writes an image, for a sequence whose next position is `start`."""
        builder = _Builder(start, self.layout.image_alignment)
        self._begin_written(builder)
        return builder.build()

    def close_image(self, start: int) -> TokenSequence:
        """Return the tokens that follow a written image: its end mark and the end of the turn."""
        builder = _Builder(start, self.layout.image_alignment)
        builder.add([self.tokenizer.end_image], Kind.TEXT, Role.IMAGE)
        self._add(builder, End())
        return builder.build()

    def decode(self, tokens: TokenSequence) -> list[Segment]:
        """Return the segments of `tokens`, adjacent text of one role joined; the inverse of `encode`.

        Frames are those that the model reads; a segment weighs what its first token does.

        Raises:
            DialogueError: an image block is broken.
        """
        segments: list[Segment] = []
        frames = iter(tokens.frames)
        marks = {self.tokenizer.bos, self.tokenizer.begin_image, self.tokenizer.end_image}
        runs = groupby(
            range(len(tokens)), key=lambda t: (int(tokens.kinds[t]), int(tokens.roles[t]), self._is_end(tokens, t))
        )
        for (kind, role, is_end), run in runs:
            where = list(run)
            ids = tokens.ids[where]
            weight = float(tokens.weights[where[0]])
            if kind == Kind.READ:
                count = self._count(len(ids), self.layout.read_tokens, "read")
                segments.extend(ReadImage(frame=next(frames)) for _ in range(count))
            elif kind == Kind.CODE:
                self._count(len(ids), self.layout.write_tokens, "written")
                segments.append(WriteImage(codes=ids.astype(np.uint16), weight=weight))
            elif is_end:
                segments.append(End(weight=weight))
            else:
                text = self.tokenizer.decode([int(index) for index in ids if int(index) not in marks])
                if text:
                    segments.append(Text(text=text, role=Role(role), weight=weight))
        return segments

    def _is_end(self, tokens: TokenSequence, index: int) -> bool:
        return bool(tokens.kinds[index] == Kind.TEXT and tokens.ids[index] == self.tokenizer.eos)

    def _count(self, found: int, size: int, name: str) -> int:
        if found == 0 or found % size:
            raise DialogueError(f"a {name} image of {found} tokens; this layout writes {size}")
        return found // size

    def _add(self, builder: _Builder, segment: Segment) -> None:
        if isinstance(segment, Text):
            if segment.aligned:
                builder.align_text()
            ids = self.tokenizer.encode(segment.text, literal=segment.literal)
            builder.add(ids, Kind.TEXT, segment.role, segment.weight)
        elif isinstance(segment, End):
            builder.add([self.tokenizer.eos], Kind.TEXT, Role.ACTION, segment.weight)
        elif isinstance(segment, ReadImage):
            builder.align()
            builder.add([self.tokenizer.begin_image], Kind.TEXT, Role.PROMPT)
            builder.add([self.tokenizer.image] * self.layout.read_tokens, Kind.READ, Role.PROMPT)
            builder.add([self.tokenizer.end_image], Kind.TEXT, Role.PROMPT)
            builder.frames.append(self._fit(segment.frame) if self._fit else segment.frame)
        else:
            self._check_codes(segment)
            self._begin_written(builder)
            builder.add(segment.codes, Kind.CODE, Role.IMAGE, segment.weight)
            builder.add([self.tokenizer.end_image], Kind.TEXT, Role.IMAGE)

    def _length(self, segment: Segment) -> int:
        if isinstance(segment, Text):
            count = self._literal_length if segment.literal else self._text_length
            return count(segment.text)
        if isinstance(segment, End):
            return 1
        if isinstance(segment, ReadImage):
            return self.layout.read_tokens + 2
        self._check_codes(segment)
        return self.layout.write_stride + len(segment.codes) + 1

    def _text_length(self, text: str) -> int:
        return len(self.tokenizer.encode(text))

    def _check_codes(self, segment: WriteImage) -> None:
        if len(segment.codes) != self.layout.write_tokens:
            raise DialogueError(
                f"an image of {len(segment.codes)} codes where the model writes {self.layout.write_tokens}; "
                "were these frames tokenized by another tokenizer?"
            )

    def _begin_written(self, builder: _Builder) -> None:
        marks = self.layout.write_stride
        builder.align(marks)
        builder.add([self.tokenizer.begin_image] * marks, Kind.TEXT, Role.IMAGE)
