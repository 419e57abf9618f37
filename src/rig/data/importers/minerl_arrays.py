"""What `rendered.npz` of a MineRL recording holds: rewards, what was done, and what the player had."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rig.actions import MINERL, Action
from rig.actions.cameras import MAX_TURN, CameraRounding
from rig.data.importers.report import ImportReport
from rig.data.packed import array_headers, read_arrays
from rig.data.problems import Skipped
from rig.errors import DatasetError

FIX = "fetch the recording once more, or take it away"

_ACTIONS = ("action$", "action_")
_CAMERA = "camera"
_INVENTORY = "observation$inventory$"
_WIDEST = 16_384
"""The most bytes that a row of an array takes: an item's name is one."""
_NOTHING = {"none", "null", ""}


class RenderedArrays:
    """The arrays of a recording; its length is the number of actions.

    Args:
        path: the file.
        frames: how many frames the video has: nothing may claim to be longer.

    Attributes:
        path: the file.
        rewards: float64 [T].

    Raises:
        DatasetError: it is damaged, has no reward or no action, or one is of another length, type or shape.
    """

    def __init__(self, path: Path, frames: int) -> None:
        self.path = path
        self._headers = array_headers(path, FIX)
        self._done = {name[len("action") + 1 :]: name for name in self._headers if name.startswith(_ACTIONS)}
        if "reward" not in self._headers or not self._done:
            raise DatasetError(f"{path} needs reward and actions such as action$forward; it has {self._names}")
        self.rewards = self._read("reward", 1, frames + 1, 0, "iuf").astype(np.float64)
        self._inventory = {
            name.removeprefix(_INVENTORY): self._column(name) for name in self._headers if name.startswith(_INVENTORY)
        }
        if not np.isfinite(self.rewards).all():
            row = int(np.isfinite(self.rewards).argmin())
            raise DatasetError(f"{path}, row {row}: the reward is {self.rewards[row]}, which is no number; {FIX}")

    def __len__(self) -> int:
        return len(self.rewards)

    def actions(self, report: ImportReport, skipped: list[Skipped] | None) -> list[Action | None]:
        """Return what was done in each step, on the grid; None where a row is malformed and may be left out.

        Raises:
            DatasetError: a row is malformed and nothing may be left out; or nothing that was done is of the space.
        """
        keys = {key: self._column(name) for key, name in self._done.items() if key in MINERL.keys}
        if not keys:
            raise DatasetError(
                f"{self.path} has no key of {MINERL.name!r} among {self._names}; in place of an obfuscated environment "
                "(VectorObf) import the one of the same name without it"
            )
        turns = self._turns()
        for key in sorted(self._done.keys() - keys.keys() - {_CAMERA}):
            report.add("keys", key, self._times(self._done[key]))
        faults, cameras = _faults(keys, turns), CameraRounding(MINERL)
        for row, fault in faults.items():
            place = f"{self.path}, row {row}"
            if skipped is None:
                raise DatasetError(f"{place}: {fault}; {FIX}")
            skipped.append(Skipped(place=place, reason=fault))
        found = [
            None if row in faults else cameras.quantise(_pressed(keys, row), (float(turn[0]), float(turn[1])))
            for row, turn in enumerate(turns)
        ]
        report.add_cameras(cameras)
        return found

    def facts(self, row: int) -> dict[str, Any]:
        """Return what the player has before a step; nothing where the recording does not say."""
        has = {item: int(counts[row]) for item, counts in self._inventory.items() if counts[row]}
        return {"inventory": has} if self._inventory else {}

    @property
    def _names(self) -> str:
        return f"{', '.join(self._headers)[:300]}" or "nothing"

    def _turns(self) -> NDArray:
        """Return how the view turned, float64 [T, 2]: pitch and yaw, in degrees."""
        if _CAMERA not in self._done:
            return np.zeros((len(self), 2))
        return self._read(self._done[_CAMERA], len(self), len(self) + 1, 2, "iuf")[: len(self)].astype(np.float64)

    def _column(self, name: str) -> NDArray:
        """Return whole numbers, a row for each step and perhaps one more."""
        return self._read(name, len(self), len(self) + 1, 0, "biu")

    def _times(self, name: str) -> int:
        """Return in how many steps something was done that has no key."""
        shape, _ = self._headers[name]
        width = shape[1] if len(shape) == 2 else 0
        found = self._read(name, len(self), len(self) + 1, width, "biufU")[: len(self)]
        done = np.isin(found, list(_NOTHING), invert=True) if found.dtype.kind == "U" else found != 0
        return int(done.reshape(len(found), -1).any(axis=1).sum())

    def _read(self, name: str, least: int, most: int, width: int, kinds: str) -> NDArray:
        """Return an array of `least` to `most` rows, each of one value, or of `width`; of types of one of `kinds`."""
        shape, kind = self._headers[name]
        wanted = (width,) if width else ()
        is_fit = kind.kind in kinds and kind.itemsize * max(1, width) <= _WIDEST and shape[1:] == wanted
        if not is_fit or not shape or not least <= shape[0] <= most:
            raise DatasetError(
                f"{self.path}: {name} is {kind} {list(shape)}, and must have {least} to {most} rows of "
                f"{f'{width} numbers' if width else 'one number'}{'' if 'f' in kinds else ' that is whole'}; {FIX}"
            )
        return read_arrays(self.path, {name: (kind, len(shape))}, FIX)[name]


def _pressed(keys: Mapping[str, NDArray], row: int) -> frozenset[str]:
    return frozenset(key for key, values in keys.items() if values[row])


def _faults(keys: Mapping[str, NDArray], turns: NDArray) -> dict[int, str]:
    """Return what is wrong with rows, by their numbers, in order."""
    found = {}
    for row in np.flatnonzero(~(np.abs(turns) <= MAX_TURN).all(axis=1)):
        found[int(row)] = f"camera {turns[row].tolist()} is no turn of at most {MAX_TURN} degrees an axis"
    for key, values in keys.items():
        for row in np.flatnonzero((values[: len(turns)] != 0) & (values[: len(turns)] != 1)):
            found.setdefault(int(row), f"{key} is {values[row]}, and 1 presses a key, 0 does not")
    return dict(sorted(found.items()))
