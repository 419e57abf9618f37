"""What rows write: text under a constraint, images code by code or many codes at once; and the step that all take.

How an image's codes are found many at once says `rig.engine.speculation`. Sampling is no different from taking the
likeliest, because the number at which a code is drawn belongs to its place in the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rig.engine.constrain import Constraint
from rig.engine.rows import Rows
from rig.engine.sampling import GREEDY, Sampler, draw, entropy, log_probs
from rig.engine.speculation import ONE_BY_ONE, Grid, Speculation
from rig.errors import RigError
from rig.model.runtime import refuse_not_numbers
from rig.records import Codes


@dataclass(eq=False)
class TextWriting:
    """Text that a row is writing.

    Attributes:
        row: which row.
        constraint: what it may be.
        sampler: how it is drawn.
        wants_log_probs: whether `log_probs` is kept.
        wants_choices: whether `choices` is kept.
        heard: called after each token with all that are written so far.
        ids: what is written so far.
        log_probs: of each of them, in the distribution that it was drawn from.
        choices: at each of their places the log-probability of every token that was allowed there.
    """

    row: int
    constraint: Constraint
    sampler: Sampler
    wants_log_probs: bool = False
    wants_choices: bool = False
    heard: Callable[[Sequence[int]], None] | None = None
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    choices: list[dict[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rows = (self.row,)
        self._state: Any = self.constraint.start

    @property
    def is_done(self) -> bool:
        """True where nothing more is to be written."""
        return self.constraint.is_done(self._state)

    @property
    def allowed(self) -> Tensor:
        """Which tokens may follow, bool [tokenizer's size]."""
        return self.constraint.allowed(self._state)

    def take(self, token: int) -> None:
        """Go on behind an allowed token."""
        self.ids.append(token)
        self._state = self.constraint.advance(self._state, token)
        if self.heard is not None:
            self.heard(self.ids)


class Fresh(NamedTuple):
    """Codes [n] at positions [n], to stand in a row from a column on."""

    row: int
    column: int
    codes: NDArray[np.int64]
    positions: NDArray[np.int64]


class Guide(NamedTuple):
    """Classifier-free guidance (Ho & Salimans, 2022, arXiv 2207.12598): away from what would come without a condition.

    An image is drawn from logits + weight · (logits - those of another row), and stands in both rows.

    Attributes:
        row: the other row, which holds the context without the condition.
        weight: how far; 0 is off. Janus' own is 4 (it writes 5, as the factor of the difference alone).
    """

    row: int
    weight: float


class ImageWriting:
    """An image that a row is writing behind its begin marks.

    Args:
        rows: the rows.
        row: which of them.
        sampler: how codes are drawn.
        speculation: how they are found.
        draft: [write_tokens], the first guesses; without them every code is first guessed to be 0.
        guide: what to guide it by.

    Attributes:
        codes: int64 [write_tokens], of which the first `found` are written.
        entropies: float32 [write_tokens], the entropy of each code's distribution.
        found: how many codes are written one behind the other; others may be already.
        passes: how often the decoder ran for it.
        rows: the row, and that of its guide.
        numbers: float64 [write_tokens], the uniform numbers at which codes are drawn.
    """

    def __init__(
        self,
        rows: Rows,
        row: int,
        sampler: Sampler,
        speculation: Speculation = ONE_BY_ONE,
        draft: Codes | None = None,
        guide: Guide | None = None,
    ) -> None:
        config = rows.model.config
        count = config.vq.num_tokens
        self.sampler, self.guide = sampler, guide
        self.rows = (row,) if guide is None else (row, guide.row)
        self.codes = np.zeros(count, np.int64) if draft is None else draft.astype(np.int64)
        self.entropies = np.zeros(count, np.float32)
        self.found = self.passes = 0
        self._grid = Grid(config.vq.grid, config.image_stride, speculation.diagonal_offset)
        self._entropy_threshold = speculation.entropy_threshold
        self._stride, self._guesses = config.image_stride, count if speculation.codes is None else speculation.codes
        self._standing = 0  # codes that stand in the row as they are here
        self._begins = [(row, int(rows.lengths[row]), rows.next_position(row)) for row in self.rows]
        self.numbers = sampler.numbers(rows.generators[row], count)

    @property
    def is_done(self) -> bool:
        """True where nothing more is to be written."""
        return self.found == len(self.codes)

    @property
    def reach(self) -> int:
        """How many codes the next pass predicts: those it is sure of, and one behind each guess."""
        return min(self._stride + self._guesses, len(self.codes) - self.found)

    @property
    def goes_one_by_one(self) -> bool:
        """True where every pass writes one code, into one row."""
        return self._stride == 1 and not self._guesses and self.guide is None

    @property
    def places(self) -> NDArray[np.int64]:
        """Those of them that are not written yet."""
        return self.found + np.flatnonzero(~self._grid.written[self.found : self.found + self.reach])

    @property
    def fresh(self) -> list[Fresh]:
        """What must stand at the end of its rows before the next pass."""
        places = np.arange(self._standing, self._end, dtype=np.int64)
        return [
            Fresh(row, begin + self._standing, self.codes[places], position + places)
            for row, begin, position in self._begins
        ]

    @property
    def _end(self) -> int:
        """How many codes stand in the row then: no more than predict something, until all are written."""
        return len(self.codes) if self.is_done else self.found + self.reach - self._stride

    def take(self, places: NDArray[np.int64], predicted: NDArray[np.int64], entropies: NDArray[np.float32]) -> None:
        """Take what the last pass predicted at the `places` it had: as written, or as new guesses."""
        self.passes += 1
        first, end = self.found, self._end
        stood = self.codes[first : max(first, end)].copy()
        self.codes[places], self.entropies[places] = predicted, entropies
        same = self.codes[first : first + len(stood)] == stood
        self._grid.extend(first, first + self.reach, same)
        self._grid.written[places[entropies < self._entropy_threshold]] = True
        self.found = self._grid.found
        self._standing = end if same.all() else first + int(same.argmin())

    def take_next(self, code: int, entropy: float) -> None:
        """Take the one code that the last pass predicted; it stands in the row already."""
        self.codes[self.found], self.entropies[self.found] = code, entropy
        self.found += 1
        self._standing = self.found
        self.passes += 1


class ImageWeighing(ImageWriting):
    """An image that stands in a row as if it had been written there; one pass says how likely that was.

    Args:
        rows: the rows.
        row: which of them.
        codes: [write_tokens], the image's.

    Attributes:
        log_probs: float32 [write_tokens], of each code in the model's whole distribution over the codebook.
    """

    def __init__(self, rows: Rows, row: int, codes: Codes) -> None:
        super().__init__(rows, row, GREEDY, Speculation(codes=None), codes)
        self.log_probs = np.zeros(len(self.codes), np.float32)

    def weigh(self, logits: Tensor) -> None:
        """Take the logits [write_tokens, codebook_size] of all places, and be done."""
        self._standing, self.passes = self._end, 1
        self.found = len(self.codes)
        self.log_probs = log_probs(logits, GREEDY, torch.from_numpy(self.codes).to(logits.device)).cpu().numpy()


Writing = TextWriting | ImageWriting


def step(rows: Rows, writings: Sequence[Writing]) -> None:
    """Let each writing, of rows of its own and none of them done, go one pass of the decoder further."""
    ordered = sorted(writings, key=lambda writing: writing.rows)
    reaches = [writing.reach if isinstance(writing, ImageWriting) else 1 for writing in ordered]
    runs = [(row, count) for writing, count in zip(ordered, reaches, strict=True) for row in writing.rows]
    hidden = rows.run([row for row, _ in runs], [count for _, count in runs])
    # The last norm makes all zeros of a state that overflows: the logarithm of its length tells that as well.
    refuse_not_numbers(torch.linalg.vector_norm(hidden, dim=-1).log(), "hidden states")
    texts: dict[Sampler, list[tuple[TextWriting, int]]] = {}
    images: dict[Sampler, list[tuple[ImageWriting, int]]] = {}
    weighed: list[tuple[ImageWeighing, int]] = []
    at = 0
    for writing, count in zip(ordered, reaches, strict=True):
        if isinstance(writing, TextWriting):
            texts.setdefault(writing.sampler, []).append((writing, at))
        elif isinstance(writing, ImageWeighing):
            weighed.append((writing, at))
        else:
            images.setdefault(writing.sampler, []).append((writing, at))
        at += count * len(writing.rows)
    for sampler, some in texts.items():
        _write_text(rows, hidden, sampler, some)
    for sampler, others in images.items():
        _write_images(rows, hidden, sampler, others)
    _weigh_images(rows, hidden, weighed)


def _write_text(rows: Rows, hidden: Tensor, sampler: Sampler, some: Sequence[tuple[TextWriting, int]]) -> None:
    logits = rows.model.text_logits(_rows_of(hidden, [at for _, at in some]))
    masked = _masked(logits, [writing.allowed for writing, _ in some])
    numbers = np.concatenate([sampler.numbers(rows.generators[writing.row], 1) for writing, _ in some])
    tokens = draw(masked, sampler, numbers)
    _note_log_probs(some, masked, sampler, tokens)
    _note_choices(some, masked)
    for (writing, _), token in zip(some, tokens.tolist(), strict=True):
        writing.take(token)
    rows.push(np.array([writing.row for writing, _ in some]), rows.model.embed_text(tokens))


def _note_log_probs(some: Sequence[tuple[TextWriting, int]], masked: Tensor, sampler: Sampler, tokens: Tensor) -> None:
    asked = [index for index, (writing, _) in enumerate(some) if writing.wants_log_probs]
    if asked:
        values = log_probs(masked[asked], sampler, tokens[asked]).tolist()
        for index, value in zip(asked, values, strict=True):
            some[index][0].log_probs.append(value)


def _note_choices(some: Sequence[tuple[TextWriting, int]], masked: Tensor) -> None:
    for index, (writing, _) in enumerate(some):
        if writing.wants_choices:
            allowed = writing.allowed.nonzero()[:, 0].tolist()
            values = masked[index].float().log_softmax(-1)[allowed].tolist()
            writing.choices.append(dict(zip(allowed, values, strict=True)))


def _write_images(rows: Rows, hidden: Tensor, sampler: Sampler, some: Sequence[tuple[ImageWriting, int]]) -> None:
    places = [writing.places for writing, _ in some]
    numbers = [writing.numbers[each] for (writing, _), each in zip(some, places, strict=True)]
    logits = _code_logits(rows, hidden, some, places)
    tokens = draw(logits, sampler, np.concatenate(numbers))
    drawn, entropies = tokens.cpu().numpy(), entropy(logits).cpu().numpy()
    if all(writing.goes_one_by_one for writing, _ in some):
        rows.push(np.array([writing.rows[0] for writing, _ in some]), rows.model.embed_codes(tokens))
        for (writing, _), code, nats in zip(some, drawn.tolist(), entropies.tolist(), strict=True):
            writing.take_next(code, nats)
        return
    ends = np.cumsum([len(each) for each in places])[:-1]
    parts = zip(some, places, np.split(drawn, ends), np.split(entropies, ends), strict=True)
    for (writing, _), each, codes, nats in parts:
        writing.take(each, codes, nats)
    put_codes(rows, [writing for writing, _ in some])


def _weigh_images(rows: Rows, hidden: Tensor, some: Sequence[tuple[ImageWeighing, int]]) -> None:
    for writing, at in some:
        writing.weigh(rows.model.code_logits(hidden[at : at + writing.reach]))
    put_codes(rows, [writing for writing, _ in some])


def _code_logits(
    rows: Rows, hidden: Tensor, some: Sequence[tuple[ImageWriting, int]], places: Sequence[NDArray[np.int64]]
) -> Tensor:
    """Return the logits at the places of some images, guided where they have a guide, whose row ran behind theirs."""
    where, beside, weights = list[int](), list[int](), list[float]()
    for (writing, at), each in zip(some, places, strict=True):
        offsets = (at + each - writing.found).tolist()
        where += offsets
        beside += [offset + (writing.reach if writing.guide else 0) for offset in offsets]
        weights += [writing.guide.weight if writing.guide else 0.0] * len(offsets)
    logits = rows.model.code_logits(_rows_of(hidden, where))
    if beside == where:
        return logits
    weight = torch.tensor(weights, device=logits.device, dtype=logits.dtype)[:, None]
    return logits + weight * (logits - rows.model.code_logits(hidden[beside]))


def put_codes(rows: Rows, writings: Sequence[ImageWriting]) -> None:
    """Put into the rows what images must have there before their next pass; call it once before the first."""
    fresh = [one for writing in writings for one in writing.fresh]
    if not any(len(one.codes) for one in fresh):
        return
    codes = torch.from_numpy(np.concatenate([one.codes for one in fresh])).to(rows.model.device)
    x = rows.model.embed_codes(codes).split([len(one.codes) for one in fresh])
    for one, part in zip(fresh, x, strict=True):
        rows.put(one.row, one.column, part, one.positions)


def _rows_of(hidden: Tensor, where: list[int]) -> Tensor:
    return hidden if len(where) == len(hidden) else hidden[where]


def _masked(logits: Tensor, masks: list[Tensor]) -> Tensor:
    """Return logits with -inf where a mask is False; a vocabulary larger than the tokenizer is cut to it."""
    size = masks[0].shape[-1]
    if size > logits.shape[-1]:
        raise RigError(f"a tokenizer of {size} tokens over a model of {logits.shape[-1]}; they do not belong together")
    shared = all(mask is masks[0] for mask in masks)
    mask = masks[0] if shared else torch.stack(masks)
    return torch.where(mask.to(logits.device), logits[:, :size], -torch.inf)
