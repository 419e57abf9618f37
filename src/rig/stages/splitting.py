"""`rig data split`: one dataset as several, by the seeds of its worlds.

All that was played in one world, in whatever task and by whomever, is in one part: a network that learns from the
others has never seen that world. Which part is a matter of the seed's hash alone, so S1 and the S2, S3 or S4 that were
made of its worlds split alike, and so do datasets that are yet to come.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from rig.data import Dataset
from rig.errors import DatasetError, RigError
from rig.stages.config import Opening
from rig.stages.reshaping import Piece, copied_info, opened, refuse_out, write
from rig.stages.reshaping_config import SplitConfig

_HASHES = 1 << 256


def split(source: Path | str, config: SplitConfig, out: Path | str, opening: Opening | None = None) -> dict[str, Any]:
    """Write each part of the dataset `source` to a dataset of its name in the folder `out`.

    Returns:
        `parts`: of each its `path`, `share`, and how many `seeds`, `trajectories` and `steps` it has.

    Raises:
        RigError: the shares are none.
        DatasetError: `source` is damaged or unfinished, a part would have nothing, or may not be written.
    """
    shares = checked_shares(config.share)
    dataset = opened(source)
    pieces, seeds = _parts(dataset, shares, config.salt)
    for name in shares:
        if not pieces[name]:
            raise DatasetError(
                f"part {name!r} would have nothing: {source} has {sum(map(len, seeds.values()))} seeds, and none of "
                f"them falls to a share of {shares[name]:g}; give it a larger share, another --salt, or a dataset of "
                "more seeds"
            )
    infos = {name: copied_info(dataset, config, "split", Path(out) / name) for name in shares}
    for name, info in infos.items():
        refuse_out(Path(out) / name, info, opening)
    for name, info in infos.items():
        write(Path(out) / name, info, pieces[name], opening)
    return {"parts": {name: _described(Path(out) / name, shares[name], pieces[name], seeds[name]) for name in shares}}


def checked_shares(given: Mapping[str, Any]) -> dict[str, float]:
    """Return the shares by name, in the order of the names.

    Raises:
        RigError: fewer than two, a name that is no folder's, a share that is no number above 0, or another sum than 1.
    """
    if len(given) < 2:
        raise RigError(f"{len(given)} part(s): give two or more as --share train=0.9 validation=0.1")
    for name, share in given.items():
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise RigError(f"part {name!r}: a part's name is a folder's; use letters, digits, '-', '_' and '.'")
        if isinstance(share, bool) or not isinstance(share, int | float) or not (math.isfinite(share) and share > 0):
            raise RigError(f"the share of {name!r} is {share!r}: give a number above 0, as {name}=0.1")
    total = math.fsum(given.values())
    if not math.isclose(total, 1, abs_tol=1e-9):
        told = " + ".join(f"{share:g}" for share in given.values())
        raise RigError(f"the shares {told} make {total:g}, and a dataset is 1; change one of them")
    return {name: float(given[name]) for name in sorted(given)}


def part_of(seed: int, shares: Mapping[str, float], salt: str = "") -> str:
    """Return the part that a seed falls to; `shares` are those of `checked_shares`."""
    place = Fraction(int.from_bytes(hashlib.sha256(f"{salt}:{seed}".encode()).digest(), "big"), _HASHES)
    names, reached = list(shares), Fraction(0)
    for name in names[:-1]:
        reached += Fraction(str(shares[name]))
        if place < reached:
            return name
    return names[-1]


def _parts(
    dataset: Dataset, shares: Mapping[str, float], salt: str
) -> tuple[dict[str, list[Piece]], dict[str, set[int]]]:
    """Return the trajectories and the seeds of each part."""
    pieces: dict[str, list[Piece]] = {name: [] for name in shares}
    seeds: dict[str, set[int]] = {name: set() for name in shares}
    for entry, columns in dataset.episodes(["seed"]):
        name = part_of(columns["seed"][0], shares, salt)
        pieces[name].append(Piece(dataset=dataset, entry=entry, name=entry.id))
        seeds[name].add(columns["seed"][0])
    return pieces, seeds


def _described(path: Path, share: float, pieces: Sequence[Piece], seeds: set[int]) -> dict[str, Any]:
    return {
        "path": str(path),
        "share": share,
        "seeds": len(seeds),
        "trajectories": len(pieces),
        "steps": sum(piece.steps for piece in pieces),
    }
