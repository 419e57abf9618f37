"""What a dataset's card says in figures, counted in one walk through its columns; no frame is read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rig.actions import ActionSpace
from rig.data import Dataset, Entry

_BINS = 24
_COLUMNS = (
    "seed",
    "actor",
    "action",
    "thought",
    "review",
    "dreams",
    "lineage_actor",
    "lineage_annotator",
)
THOUGHT, REVIEW, DREAM = "thoughts", "reviews", "thoughts of dreams"


@dataclass(kw_only=True)
class Cell:
    """A task in a setting: how long each of its episodes is, and how many were accomplished."""

    lengths: list[int] = field(default_factory=list)
    won: int = 0


@dataclass(kw_only=True)
class Figures:
    """What a dataset holds.

    Attributes:
        cells: by "task/setting".
        actions: how often each was done, by its text.
        words: of each kind of text, how many have how many words; a thought that is its step's review is one of those.
        actors: steps by who chose their action.
        makers: who played, and who wrote the texts.
        thoughts: steps that have one.
        seeds: of the worlds.
        dreams: imagined steps, and those of them of which the real frame is known.
        helped: reviews that changed the action.
        telling: of the trajectories that were asked about, the position of the step that shows most.
    """

    cells: dict[str, Cell] = field(default_factory=lambda: defaultdict(Cell))
    actions: Counter[str] = field(default_factory=Counter)
    words: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    actors: Counter[str] = field(default_factory=Counter)
    makers: set[str] = field(default_factory=set)
    thoughts: int = 0
    seeds: set[int] = field(default_factory=set)
    dreams: int = 0
    dreams_with_real_frame: int = 0
    helped: int = 0
    telling: dict[str, int] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.actors.total()

    @property
    def lengths(self) -> list[int]:
        """The steps of each episode."""
        return [length for cell in self.cells.values() for length in cell.lengths]

    @property
    def won(self) -> int:
        """The number of episodes whose task was accomplished."""
        return sum(cell.won for cell in self.cells.values())


def figures_of(dataset: Dataset, shown: Sequence[str]) -> Figures:
    """Return the figures of a dataset; `shown` are the trajectories of which a step is to be shown."""
    found = Figures()
    for entry, columns in dataset.episodes(_COLUMNS):
        _count(found, entry, columns)
        if entry.id in shown:
            found.telling[entry.id] = _most_telling(columns, shown.index(entry.id), len(shown))
    return found


def _count(found: Figures, entry: Entry, columns: Mapping[str, Sequence[Any]]) -> None:
    cell = found.cells[f"{entry.task}/{entry.setting}"]
    cell.lengths.append(len(columns["action"]))
    cell.won += entry.success
    found.actions.update(columns["action"])
    found.actors.update(columns["actor"])
    found.seeds.update(columns["seed"])
    found.makers.update(name for kind in ("actor", "annotator") for name in columns[f"lineage_{kind}"] if name)
    reviews = [review for review in columns["review"] if review is not None]
    dreams = [dream for dreams in columns["dreams"] for dream in dreams]
    found.thoughts += sum(thought is not None for thought in columns["thought"])
    apart = [
        thought
        for thought, review in zip(columns["thought"], columns["review"], strict=True)
        if review is None or review["thought"] != thought
    ]
    for kind, texts in (
        (THOUGHT, apart),
        (REVIEW, [review["thought"] for review in reviews]),
        (DREAM, [dream["thought"] for dream in dreams]),
    ):
        found.words[kind].update(len(text.split()) for text in texts if text is not None)
    found.dreams += len(dreams)
    found.dreams_with_real_frame += sum(dream["real_frame"] is not None for dream in dreams)
    found.helped += sum(review["helped"] for review in reviews)


def _most_telling(columns: Mapping[str, Sequence[Any]], number: int, count: int) -> int:
    """Return the position of a step that shows much: a changed plan before a dream before a thought before an action.

    Of equals, those of the first of `count` episodes are early ones, and those of the last late.
    """
    worth = [
        (review is not None and review["helped"], bool(dreams), thought is not None)
        for review, dreams, thought in zip(columns["review"], columns["dreams"], columns["thought"], strict=True)
    ]
    best = [position for position, each in enumerate(worth) if each == max(worth)]
    return best[len(best) * (2 * number + 1) // (2 * count)]


def in_bins(counts: Mapping[int, int], step: int = 1) -> dict[str, int]:
    """Return counts of multiples of `step` in at most 24 bins of one width, from the least number to the greatest."""
    if not counts:
        return {}
    least, most = min(counts), max(counts)
    width = step * -(-((most - least) // step + 1) // _BINS)
    bins = dict.fromkeys(range(least, most + 1, width), 0)
    for number, count in counts.items():
        bins[least + (number - least) // width * width] += count
    return {_range_of(low, min(low + width - step, most)): count for low, count in bins.items()}


def _range_of(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def camera_turns(actions: Mapping[str, int], space: ActionSpace) -> dict[str, Counter[int]]:
    """Return how often the camera turned by how many degrees: "pitch" and "yaw"; nothing where there is no camera.

    Steps in which it did not turn at all are in neither.
    """
    if space.camera is None:
        return {}
    turns: dict[str, Counter[int]] = {"pitch": Counter(), "yaw": Counter()}
    for text, count in actions.items():
        angles = space.parse(text).camera
        for axis, angle in zip(turns, angles, strict=True):
            if any(angles):
                turns[axis][angle] += count
    return turns


def keys_pressed(actions: Mapping[str, int], space: ActionSpace) -> Counter[str]:
    """Return in how many steps each key was pressed."""
    keys: Counter[str] = Counter()
    for text, count in actions.items():
        keys.update(dict.fromkeys(space.parse(text).keys, count))
    return keys
