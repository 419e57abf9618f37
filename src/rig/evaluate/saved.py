"""Results as they are saved: what their files must hold, and how they are read back, checked.

A file that a crash or a user has spoilt is one error that names the file, the field and the fix. Fields that are not
named here may be there: they come through as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from rig.errors import RigError
from rig.provenance import Made
from rig.storage import read_json, read_json_lines
from rig.validation import Meta, validated

EPISODES, SUMMARY, IMAGINATION, REVIEWS = "episodes.jsonl", "summary.json", "imagination.json", "reviews.json"
JUDGEMENTS, CAUSALITY = "judgements.json", "causality.json"

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Number = Annotated[float, Meta(ge=-1e15, le=1e15)]


class Interval(TypedDict):
    """A `rig.evaluate.stats.Estimate`."""

    value: Number
    low: Number
    high: Number
    n: Count


class Spent(TypedDict):
    """A `rig.records.Cost`, or its mean."""

    read_tokens: Number
    text_tokens: Number
    image_tokens: Number
    seconds: Number


class Claims(TypedDict):
    """How many clauses were what; see `rig.evaluate.verdicts.count_claims`."""

    clauses: Count
    readable: Count
    checked: Count
    true: Count
    conclusions: Count
    followed: Count


class KeptOrChanged(TypedDict):
    """Reviews by what they say of their plan."""

    keep: Count
    change: Count
    nothing: NotRequired[Count]


class Verdicts(TypedDict, total=False):
    """See `rig.evaluate.verdicts.count_verdicts`; empty where nobody could judge."""

    says: KeptOrChanged
    against: KeptOrChanged


class Changes(TypedDict):
    """See `rig.evaluate.watched.Changes`."""

    decisions: Count
    changed: Count
    lost: list[tuple[Number, Number]]


class Row(TypedDict):
    """A line of `episodes.jsonl`: an episode, as `rig.evaluate.scores.summary_row` makes it."""

    task: str
    setting: str
    seed: int
    success: bool
    samples: Number
    steps: Count
    in_vain: NotRequired[Count]
    cost: Spent
    claims: Claims
    reviews: Count
    changed: Count
    verdicts: NotRequired[Verdicts]
    changes: NotRequired[Changes]


class _Computed(TypedDict):
    dtype: str


class _Cell(TypedDict):
    success: Interval
    samples: Interval
    steps: Interval


class _Played(TypedDict):
    agent: str
    split: str
    episodes: NotRequired[Count]
    dreams: Count
    temperature: Number
    most_steps: NotRequired[Count | None]


class _Summary(TypedDict):
    config: _Played
    provenance: Made
    episodes: Count
    seeds: tuple[int, int]
    success: Interval
    by_setting: dict[str, Interval]
    cells: dict[str, _Cell]
    cost_per_decision: dict[str, Number]
    in_vain: NotRequired[Interval | None]
    thoughts: dict[str, Any]
    reviews: dict[str, Any]
    runs_in: NotRequired[dict[str, str]]


class _Thoughts(TypedDict):
    checked: Count
    true: Interval | None
    followed: Number
    readable: Number


class _Reviewed(Verdicts):
    reviews: Count
    changed: Number


class _Dreamed(TypedDict):
    agent: str
    split: str


class _Frechet(TypedDict):
    value: Number
    extractor: str
    dims: Count
    n: Count


class _Depth(TypedDict):
    steps: Count
    psnr: Interval
    ssim: Interval
    frechet: _Frechet
    cells_right: NotRequired[Interval | None]
    changed_cells_right: NotRequired[Interval | None]
    stills_right: NotRequired[Interval | None]
    action_agreement: NotRequired[Interval | None]
    action_agreement_by_chance: NotRequired[Number | None]


_Depths = Annotated[list[_Depth], Meta(min_length=1)]


class _Imagination(TypedDict):
    config: _Dreamed
    provenance: Made
    chains: Count
    passes: Number
    noise_actions: Number
    dream: _Depths
    tokenizer: _Depths
    copy: _Depths


class _Shown(TypedDict):
    changed_good: Interval | None
    changed_bad: Interval | None
    mended: Interval | None
    same: Interval | None
    consistent: Interval | None
    true: Interval | None


class _Plans(TypedDict):
    decisions: Count
    agreed: Count
    against: Count
    told: Count
    best: Count
    episodes: Count
    plans: Interval | None
    most_votes: Interval | None
    best_score: Interval | None
    best_taken: Interval | None
    best_by_votes: Interval | None
    best_at_random: Interval | None


class _Reviews(TypedDict):
    lookaheads: Count
    episodes: Count
    bad: Count
    shown: dict[str, _Shown]
    plans: NotRequired[_Plans]


class _Judge(TypedDict):
    pairs: Interval | None
    best: Interval | None
    lost: Interval | None


class _Said(TypedDict):
    branches: Count
    right: Interval
    confidence: Number
    ece: Number
    words: Interval


class _Judgements(TypedDict):
    sets: Count
    branches: Count
    with_a_choice: Count
    at_random: dict[str, Interval | None]
    scorers: dict[str, _Judge]
    said: dict[str, _Said]
    imagination: dict[str, _Judge]


class _Difference(TypedDict):
    estimate: Interval
    p_value: Number
    wins: Count
    losses: Count


class _Exchanged(TypedDict):
    episodes: Count
    success: Interval
    against_own: _Difference | None
    changed: Interval | None
    valued: Count
    spoilt: Interval | None
    mended: Interval | None
    gained: Interval | None
    cost_per_decision: Spent


class _Causality(TypedDict):
    config: _Played
    provenance: Made
    seeds: tuple[int, int]
    plans: Count
    rows: dict[str, _Exchanged]


_KINDS: Mapping[str, Any] = {
    SUMMARY: _Summary,
    IMAGINATION: _Imagination,
    REVIEWS: _Reviews,
    JUDGEMENTS: _Judgements,
    CAUSALITY: _Causality,
}
_FIX = "restore it from a copy, or score again into another folder"


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the episodes in `episodes.jsonl`, each a `Row`; none where there is no such file.

    Raises:
        RigError: a line is spoilt.
    """
    rows = read_json_lines(folder / EPISODES, Row)
    for number, row in enumerate(rows, start=1):
        _refuse_half(row.get("verdicts", {}), f"{folder / EPISODES}, line {number}: verdicts")
    return rows


def read_scores(path: Path) -> dict[str, Any]:
    """Return the scores in the file `path`, which is called as a command calls what it writes.

    Raises:
        RigError: they are not whole, or another command's.
    """
    found = read_json(path, _FIX)
    check_scores(found, path)
    return found


def check_scores(found: Mapping[str, Any], path: Path) -> None:
    """Raise RigError where `found`, what was read of `path`, is not what its command writes there."""
    validated(found, _KINDS[path.name], path, _FIX)
    if path.name != SUMMARY:
        return
    cost = {name: value for name, value in found["cost_per_decision"].items() if name != "decisions"}
    for name, part, kind in (
        ("cost_per_decision", cost, Spent),
        ("thoughts", found["thoughts"], _Thoughts),
        ("reviews", found["reviews"], _Reviewed),
        ("runs_in", found.get("runs_in"), _Computed),
    ):
        if part:
            validated(part, kind, f"{path}: {name}", _FIX)
    _refuse_half(found["reviews"], f"{path}: reviews")


def _refuse_half(verdicts: Mapping[str, Any], place: str) -> None:
    if ("says" in verdicts) != ("against" in verdicts):
        raise RigError(f"{place} have one of 'says' and 'against' without the other; {_FIX}")
