"""`rig data filter`: what of a dataset meets all conditions, as whole trajectories or step by step.

A step stands alone in training: the frame, the previous action, what followed and what was dreamed are its own. So
steps can be taken out of an episode for training, and what is left of it keeps the numbers of its steps. What goes
along an episode, as `rig rehearse` does, needs whole trajectories, and refuses others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rig.annotators import ClaimChecker, checker_of
from rig.annotators.claims import verdicts_on
from rig.data import Dataset, Entry
from rig.errors import DatasetError, RigError
from rig.records import Step
from rig.registry import suggestion
from rig.stages.config import Opening
from rig.stages.reshaping import (
    Piece,
    Tally,
    copied_info,
    opened,
    refuse_nothing,
    refuse_out,
    refuse_parts_of_sets,
    steps_of,
    write,
)
from rig.stages.reshaping_config import FilterConfig, Presence

_COLUMNS = ("seed", "lineage_actor", "actor", "thought", "review", "dreams", "frame", "next_frame")

Columns = Mapping[str, Sequence[Any]]
"""Columns of the steps of one trajectory."""


def filter_dataset(
    source: Path | str, config: FilterConfig, out: Path | str, opening: Opening | None = None
) -> dict[str, Any]:
    """Write what of the dataset `source` meets `config` to the dataset `out`.

    Returns:
        `kept`, `dropped`, `dropped_by` (the first condition that was not met), each in trajectories and steps.

    Raises:
        RigError: no condition is given, or the world has nobody who checks claims.
        DatasetError: `source` is damaged or unfinished, does not know a name, nothing is left, or `out` may not be
            touched.
    """
    if config == FilterConfig(keep=config.keep):
        raise RigError("nothing to filter by: give a condition, as --tasks, --success or --true-claims")
    dataset = opened(source)
    refuse_parts_of_sets(dataset, config.keep)
    info = copied_info(dataset, config, "filter", Path(out))
    refuse_out(Path(out), info, opening)
    conditions = _Conditions(dataset, config)
    tally = Tally()
    pieces = list(_pieces(dataset, conditions, tally))
    refuse_nothing(pieces, tally, dataset.path)
    write(Path(out), info, pieces, opening)
    return tally.to_json()


def _pieces(dataset: Dataset, conditions: _Conditions, tally: Tally) -> Iterator[Piece]:
    for entry, columns in dataset.episodes(_COLUMNS):
        unmet = conditions.of_trajectory(entry, columns)
        reasons = [unmet] * steps_of(entry) if unmet else conditions.of_steps(entry, columns)
        kept = [position for position, reason in enumerate(reasons) if reason is None]
        for reason in dict.fromkeys(filter(None, reasons)):
            gone = not kept and reason == reasons[0]
            tally.drop(reason, reasons.count(reason), trajectories=int(gone))
        if kept:
            tally.keep(len(kept))
            whole = len(kept) == len(reasons)
            yield Piece(dataset=dataset, entry=entry, name=entry.id, positions=None if whole else kept)


class _Conditions:
    """The conditions of a filter over one dataset.

    Raises:
        DatasetError: the dataset does not know a name that is asked for.
        RigError: a range of seeds is none, or nobody checks claims.
    """

    def __init__(self, dataset: Dataset, config: FilterConfig) -> None:
        self._dataset, self._config = dataset, config
        self._seeds = [_range_of(text) for text in config.seeds]
        self._checker = _checker(dataset) if config.true_claims is not None else None
        _refuse_unknown_names(dataset, config)

    def of_trajectory(self, entry: Entry, columns: Columns) -> str | None:
        """Return which condition a whole trajectory does not meet, or None."""
        config, seed, count = self._config, columns["seed"][0], steps_of(entry)
        met = {
            "its task": not config.tasks or bool({entry.task, f"{entry.task}/{entry.setting}"} & set(config.tasks)),
            "its setting": not config.settings or entry.setting in config.settings,
            "its outcome": config.success == "any" or entry.success == (config.success == "won"),
            "its length": (config.min_steps or 0) <= count <= (config.max_steps or count),
            "its seed": not self._seeds or any(first <= seed <= last for first, last in self._seeds),
            "its player": not config.players or columns["lineage_actor"][0] in config.players,
        }
        return next((name for name, is_met in met.items() if not is_met), None)

    def of_steps(self, entry: Entry, columns: Columns) -> list[str | None]:
        """Return, for each step of a trajectory, which condition it does not meet, or None."""
        count = steps_of(entry)
        if self._config.keep == "steps":
            claims = self._claims(entry)
            return [
                self._unmet({name: column[at : at + 1] for name, column in columns.items()}, claims[at : at + 1])
                for at in range(count)
            ]
        return [self._unmet(columns, self._claims(entry))] * count

    def _unmet(self, columns: Columns, claims: Sequence[_Claims]) -> str | None:
        """Return which condition some steps, taken together, do not meet."""
        config, frames = self._config, [*zip(columns["frame"], columns["next_frame"], strict=True)]
        met = {
            "who acted": not config.actors or set(columns["actor"]) <= set(config.actors),
            "thoughts": _is_met(config.thoughts, columns["thought"], lambda thought: thought is not None),
            "reviews": _is_met(config.reviews, columns["review"], lambda review: review is not None),
            "dreams": _is_met(config.dreams, columns["dreams"], bool),
            "effects": _is_met(config.effects, frames, _has_effect),
            "claims that are not true": self._are_true(claims),
        }
        return next((name for name, is_met in met.items() if not is_met), None)

    def _claims(self, entry: Entry) -> list[_Claims]:
        """Return what is known of the claims of each step; nothing where nobody asks."""
        if self._checker is None:
            return []
        return [_claims_of(step, self._checker, entry.id) for step in self._dataset[entry.id].steps]

    def _are_true(self, claims: Sequence[_Claims]) -> bool:
        checked, least = sum(each.checked for each in claims), self._config.true_claims
        return least is None or not checked or sum(each.true for each in claims) >= least * checked


@dataclass(frozen=True, kw_only=True)
class _Claims:
    """How many of a step's claims about the world can be checked, and are true."""

    checked: int = 0
    true: int = 0


def _claims_of(step: Step, checker: ClaimChecker, trajectory: str) -> _Claims:
    if not step.privileged:
        return _Claims()
    try:
        told = [verdict.holds for verdict in verdicts_on(step, checker) if not verdict.concludes]
    except Exception as error:  # facts come from a file, and a checker of a plug-in may raise anything of them
        raise DatasetError(
            f"trajectory {trajectory!r}, step {step.index}: its claims cannot be checked ({error}); filter without "
            "--true-claims"
        ) from error
    return _Claims(checked=sum(holds is not None for holds in told), true=sum(holds is True for holds in told))


def _has_effect(frames: tuple[int, int | None]) -> bool:
    """Return whether something comes of a step, of the numbers of its frames: equal frames have one."""
    before, after = frames
    return after is not None and after != before


def _is_met(wanted: Presence, values: Sequence[Any], is_there: Callable[[Any], bool]) -> bool:
    return wanted == "any" or any(map(is_there, values)) == (wanted == "with")


def _checker(dataset: Dataset) -> ClaimChecker:
    found = checker_of(dataset.info.environment)
    if found is None:
        raise RigError(
            f"nobody checks claims in the world {dataset.info.environment!r}; filter without --true-claims, or "
            "register the world with a checker (docs/extending.md)"
        )
    return found


def _range_of(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(-?\d{1,19})(?::(-?\d{1,19}))?", text)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
    if first > last:
        raise RigError(f"seeds {text!r}: give a seed as 17, or a range as 0:99, both included")
    return first, last


def _refuse_unknown_names(dataset: Dataset, config: FilterConfig) -> None:
    tasks = {name for entry in dataset.entries for name in (entry.task, f"{entry.task}/{entry.setting}")}
    known: dict[str, set[str]] = {"tasks": tasks, "settings": {entry.setting for entry in dataset.entries}}
    for field, column in (("players", "lineage_actor"), ("actors", "actor")):
        if asdict(config)[field]:
            known[field] = {name for _, columns in dataset.episodes([column]) for name in columns[column]}
    for field, names in known.items():
        for name in asdict(config)[field]:
            if name not in names:
                hint = suggestion(name, sorted(names))
                raise DatasetError(
                    f"{dataset.path} has nothing of {field} {name!r}.{hint} It has: {', '.join(sorted(names))}."
                )
