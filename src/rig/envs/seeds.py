"""World seeds, split so that no seed of training can ever appear in evaluation.

Each split owns its own range of seeds; `Split.seeds` walks through one range only, and `split_of` names the owner of a
seed. Everything that starts an episode takes its seeds from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from rig.errors import RigError

_SIZE = 1 << 28


class Split(Enum):
    """Who may use a seed: training, validation (tuning and previews) or evaluation."""

    TRAIN = 0
    VALIDATION = 1
    EVALUATION = 2

    @property
    def first(self) -> int:
        """The first seed of this split."""
        return self.value * _SIZE

    @property
    def stop(self) -> int:
        """One past the last seed of this split."""
        return (self.value + 1) * _SIZE

    def seed(self, index: int) -> int:
        """Return the split's seed number `index`.

        Raises:
            RigError: the split has no such seed.
        """
        if not 0 <= index < _SIZE:
            raise RigError(f"seed index {index} is outside a split; use 0 to {_SIZE - 1}")
        return self.first + index

    def seeds(self) -> Iterator[int]:
        """Yield every seed of this split in order."""
        return iter(range(self.first, self.stop))


def split_of(seed: int) -> Split:
    """Return the split that owns `seed`.

    Raises:
        RigError: no split owns it.
    """
    if not 0 <= seed < len(Split) * _SIZE:
        raise RigError(f"seed {seed} belongs to no split; seeds run from 0 to {len(Split) * _SIZE - 1}")
    return Split(seed // _SIZE)
