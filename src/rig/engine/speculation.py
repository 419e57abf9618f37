"""Which codes of an image are written, where several are found at once.

Codes that are only guessed stand in the row, all are run together, and each place says what it would write there.

* Exactly: up to the first guess that differs from what is written there, everything is as it would have been, had one
  code been written after the other (Jacobi iteration).
* With a diagonal offset, the rest of an image need not be known before a code is: it is enough that the codes to its
  left are right, and of the rows above those up to so many columns further. Rows grow side by side, each behind the one
  above it, as in diagonal decoding (Ye et al., 2025, arXiv 2503.14070) and ZipAR (He et al., 2024, arXiv 2412.04062),
  where what is not known yet is hidden; here it is guessed.
* Where the network is sure, the code is written whatever it rests on, as in decoding by confidence (MaskGIT: Chang et
  al., 2022, arXiv 2202.04200). With the frame before as first guesses it is sure of most of the next at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rig.errors import RigError


@dataclass(frozen=True, kw_only=True)
class Speculation:
    """How the codes of an image are found.

    Attributes:
        codes: how many to guess at the most beyond those that a pass is sure of; None: all that are left.
        diagonal_offset: how many columns further the image's rows above a code must be right; None: all of them, which
            is exact.
        entropy_threshold: write a code whatever it rests on where the entropy of its distribution, in nats, is below
            this; 0 is exact.
    """

    codes: int | None = 0
    diagonal_offset: int | None = None
    entropy_threshold: float = 0.0

    def __post_init__(self) -> None:
        if min(self.codes or 0, self.diagonal_offset or 0, self.entropy_threshold) < 0:
            raise RigError(f"{self}: nothing of it can be below 0")


ONE_BY_ONE = Speculation()


class Grid:
    """Which codes of an image are written.

    Args:
        width: codes of a row of the image, and its rows.
        stride: how many codes ahead a token predicts.
        diagonal_offset: as in `Speculation`.

    Attributes:
        written: bool [width²].
    """

    def __init__(self, width: int, stride: int, diagonal_offset: int | None) -> None:
        self.written = np.zeros(width * width, np.bool_)
        self._width, self._stride = width, stride
        self._diagonal_offset = width if diagonal_offset is None else diagonal_offset

    @property
    def found(self) -> int:
        """How many codes are written one behind the other from the first on."""
        return len(self.written) if self.written.all() else int(self.written.argmin())

    def extend(self, first: int, stop: int, same: NDArray[np.bool_]) -> None:
        """Have written what rests on nothing wrong.

        Args:
            first: the first code that was not written.
            stop: behind the last that a pass predicted.
            same: of the codes from `first` on that stood in the row, those that stood as they were predicted.
        """
        written = self.written.reshape(self._width, -1)
        right = np.where(written.all(1), self._width, written.argmin(1))  # right codes at the head of each row
        for row in range(first // self._width, -(-stop // self._width)):
            for column in range(right[row], self._width):
                place = row * self._width + column
                if not written[row, column] and (place >= stop or not self._is_founded(place, right)):
                    break
                stood = written[row, column] or (place - first < len(same) and same[place - first])
                right[row] += right[row] == column and stood
                written[row, column] = True

    def _is_founded(self, place: int, right: NDArray[np.int64]) -> bool:
        """Return whether all is right that a code is predicted from: up to `stride` before it, as far as the offset."""
        if place < self._stride:
            return True
        row, column = divmod(place, self._width)
        last, source = divmod(place - self._stride, self._width)
        near = min(self._width, column + self._diagonal_offset + 1)
        needed = source + 1 if last == row else min(source + 1, near)
        return bool((right[:last] >= near).all() and right[last] >= needed)
