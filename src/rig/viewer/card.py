"""A dataset's card: one self-contained HTML page of what it holds, with steps as pictures.

Like the page of episodes it loads nothing and may be mailed; it has no script at all, and its content security policy
forbids any. Every text is escaped where it becomes part of the page (`rig.viewer.markup`).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import rig
from rig.data import Dataset
from rig.data.manifest import SHARD_FOLDER
from rig.data.summary import lineage
from rig.envs import profile_of
from rig.errors import DatasetError, at_least_one, within
from rig.storage import bytes_of, refuse_as_page, write_bytes
from rig.viewer.choice import choose
from rig.viewer.figures import DREAM, REVIEW, THOUGHT, Figures, camera_turns, figures_of, in_bins, keys_pressed
from rig.viewer.markup import Child, Markup, bar, columns, element, joined, table
from rig.viewer.page import digest
from rig.viewer.samples import sample
from rig.viewer.text import label

KIND = "dataset card"
"""What the page calls itself in its head, by which `rig inspect` knows it."""

_MOST_ROWS, _FEW_ROWS = 20, 8
_MOST_COMMANDS = 8


def render_card(
    source: Path | str,
    path: Path | str,
    *,
    title: str = "",
    samples: int = 8,
    steps_per_second: float | None = None,
    licence: str = "",
) -> dict[str, Any]:
    """Write the card of a dataset as one HTML page.

    Args:
        source: the dataset's folder; its files are compared with their hashes first.
        path: where the page goes; an existing page is replaced in one move.
        title: the page's heading; the dataset's name where empty.
        samples: how many steps are shown as pictures, each of another episode, over all tasks and settings.
        steps_per_second: how many steps a second of play has; None: as the world says, if it is known and has a clock.
        licence: under which licence the dataset may be used; where empty, nothing is said.

    Returns:
        What the page says in figures: `trajectories`, `steps`, `success`, `hours` (None where it is not known),
        `samples`.

    Raises:
        DatasetError: the dataset is missing, unfinished, damaged, or holds nothing.
        RigError: an argument is out of range, or no page can be written there.
    """
    at_least_one(samples=samples)
    if steps_per_second is not None:
        within(0, 10_000, above=True, steps_per_second=steps_per_second)
    refuse_as_page(Path(path))
    dataset = Dataset(source)
    dataset.verify_files()
    if not dataset.entries:
        raise DatasetError(f"{source} holds no trajectory, and a card shows some; give a dataset with some")
    chosen = choose(dataset.entries, samples)
    found = figures_of(dataset, [entry.id for entry in chosen])
    played = _Played.of(dataset, steps_per_second)
    hours = None if played.step_seconds is None else found.steps * played.step_seconds / 3600
    title = label(title or dataset.info.name)
    body = joined(
        [
            _head(dataset, found, title, hours),
            _samples(dataset, found),
            _tasks(found),
            _actions(dataset, found),
            _lengths(found, played, hours),
            _texts(found),
            _made(dataset, found),
            _pictures(played.credit, licence),
        ]
    )
    write_bytes(Path(path), _page(title, body).encode("utf-8", "replace"))
    return {
        "trajectories": len(dataset),
        "steps": found.steps,
        "success": found.won / len(dataset),
        "hours": hours,
        "samples": len(chosen),
    }


def _page(title: str, body: Markup) -> str:
    style = element("style", Markup(files("rig.viewer").joinpath("card.css").read_text(encoding="utf-8")))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{digest(style, 'style')}'; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        Markup('<meta charset="utf-8">'),
        *(
            Markup(element("meta", **attributes).removesuffix("</meta>"))
            for attributes in (
                {"http_equiv": "Content-Security-Policy", "content": policy},
                {"name_": "viewport", "content": "width=device-width, initial-scale=1"},
                {"name_": "referrer", "content": "no-referrer"},
                {"name_": "generator", "content": f"rig {rig.__version__}"},
                {"name_": "rig-page", "content": KIND},
            )
        ),
        Markup('<link rel="icon" href="data:,">'),
        element("title", title),
        style,
    )
    return f"<!doctype html>\n{element('html', head, element('body', body), lang='en')}\n"


class _Played:
    """What is known of the world that was played: how long a step lasts, who says so, and whose pictures it shows."""

    def __init__(self, step_seconds: float | None, told: str, credit: str) -> None:
        self.step_seconds, self.told, self.credit = step_seconds, told, credit

    @staticmethod
    def of(dataset: Dataset, steps_per_second: float | None) -> _Played:
        """Return what is known of the world of a dataset."""
        name = dataset.info.environment
        world = profile_of(name)
        seconds, credit = getattr(world, "step_seconds", None), getattr(world, "credit", "")
        if steps_per_second is not None:
            return _Played(1 / steps_per_second, f"{steps_per_second:g} steps a second, as was given", credit)
        if seconds is not None:
            return _Played(seconds, f"a step lasts {seconds:g} s of the world {name}'s own time", credit)
        return _Played(None, f"not known: the world {name} has no clock, and --steps-per-second was not given", credit)


def _section(heading: str, *children: Child) -> Markup:
    return element("section", element("h2", heading), *children)


def _head(dataset: Dataset, found: Figures, title: str, hours: float | None) -> Markup:
    info = dataset.info
    height, width = info.frame_size
    tiles = {
        "episodes": f"{len(dataset):,}",
        "steps": f"{found.steps:,}",
        "hours of play": "not known" if hours is None else _few(hours),
        "accomplished": f"{found.won / len(dataset):.0%}",
        "worlds (seeds)": f"{len(found.seeds):,}",
        "frames stored": f"{dataset.manifest.counts['frames']:,}",
        "of pixels": f"{width} × {height}",
        "on disk": f"{bytes_of(dataset.path / SHARD_FOLDER) / 1e6:,.1f} MB",
    }
    about = (
        f"Play in the world {label(info.environment)}, stage {label(info.stage.upper())} of RIG (arXiv 2503.24388), "
        f"with the action space {label(info.action_space.name)}. Content hash "
    )
    return element(
        "header",
        element("h1", title),
        element("p", about, element("code", dataset.content_hash)),
        element("dl", *(element("div", element("dt", name), element("dd", told)) for name, told in tiles.items())),
    )


def _few(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= 10 else f"{hours:.2g}"


def _samples(dataset: Dataset, found: Figures) -> Markup:
    shown = [sample(dataset[name], position, dataset.info.action_space) for name, position in found.telling.items()]
    return _section("Steps of it", element("div", *shown, class_="steps"))


def _tasks(found: Figures) -> Markup:
    most = max(len(cell.lengths) for cell in found.cells.values())
    rows = [
        [
            _breakable(label(name)),
            element("span", f"{len(cell.lengths):,}", bar(len(cell.lengths) / most)),
            f"{sum(cell.lengths):,}",
            f"{statistics.median(cell.lengths):g}",
            element("span", f"{cell.won / len(cell.lengths):.0%}", bar(cell.won / len(cell.lengths))),
        ]
        for name, cell in sorted(found.cells.items(), key=lambda item: -len(item[1].lengths))
    ]
    header = ["task/setting", "episodes", "steps", "median length", "success"]
    return _section("Tasks", _most(header, rows, "tasks and settings"))


def _breakable(name: str) -> Markup:
    """Return a name that may go on in another line behind each slash."""
    first, *rest = name.split("/")
    return joined([first, *(part for each in rest for part in ("/", Markup("<wbr>"), each))])


def _most(header: Sequence[str], rows: Sequence[Sequence[Child]], what: str, shown: int = _MOST_ROWS) -> Markup:
    """Return a table of the first rows, and how many of `what` are left out."""
    left = len(rows) - shown
    told = element("p", f"and {left:,} more {what}", class_="soft") if left > 0 else Markup("")
    return joined([table(header, rows[:shown], name=f"wide{len(header)}"), told])


def _counted(counts: Mapping[str, int], whole: int, header: str, what: str, shown: int = _MOST_ROWS) -> Markup:
    """Return a table of what occurs how often, most frequent first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most = ranked[0][1] if ranked else 1
    rows = [
        [element("code", label(name)), f"{count:,}", element("span", f"{count / whole:.1%}", bar(count / most))]
        for name, count in ranked
    ]
    return _most([header, "steps", "share"], rows, what, shown)


def _actions(dataset: Dataset, found: Figures) -> Markup:
    space = dataset.info.action_space
    parts = [_counted(found.actions, found.steps, "action", "actions", _MOST_ROWS if space.exclusive else _FEW_ROWS)]
    if not space.exclusive:
        parts = [
            element("h3", "Keys"),
            _counted(keys_pressed(found.actions, space), found.steps, "key", "keys"),
            element("h3", "Whole actions"),
            *parts,
        ]
    for axis, turns in camera_turns(found.actions, space).items():
        parts.append(element("h3", f"Camera: {axis}, in degrees, of the steps that turn it"))
        step = space.camera.step if space.camera else 1
        parts.append(_chart(turns, f"{axis} of the camera", step) if turns else element("p", "It is never turned."))
    return _section("Actions", *parts)


def _chart(counts: Mapping[int, int], told: str, step: int = 1) -> Markup:
    bins = in_bins(counts, step)
    return columns(bins, told=told) if len(bins) > 1 else element("p", f"All have {next(iter(bins))}.")


def _lengths(found: Figures, played: _Played, hours: float | None) -> Markup:
    lengths = found.lengths
    told = (
        f"{min(lengths):,} to {max(lengths):,} steps, {statistics.mean(lengths):,.1f} on average, "
        f"{statistics.median(lengths):g} in the middle."
    )
    time = f" Hours of play: {played.told}." if hours is None else f" Hours of play: {_few(hours)}; {played.told}."
    return _section("Length of episodes", _chart(Counter(lengths), "steps of an episode"), element("p", told + time))


def _texts(found: Figures) -> Markup:
    parts = []
    for kind in (THOUGHT, REVIEW, DREAM):
        words = found.words[kind]
        if not words:
            continue
        mean = sum(length * count for length, count in words.items()) / words.total()
        parts.append(element("h3", f"{kind.capitalize()}: {words.total():,}, of {mean:.1f} words on average"))
        parts.append(_chart(words, f"words of {kind}"))
    told = f"{found.thoughts / found.steps:.0%} of the steps have a thought."
    if found.dreams:
        told += (
            f" {found.dreams:,} steps were dreamed; of {found.dreams_with_real_frame:,} it is known what really came."
        )
    if reviews := found.words[REVIEW].total():
        told += f" {found.helped:,} of {reviews:,} reviews changed the action."
    return _section("Texts, in words", *parts, element("p", told))


def _made(dataset: Dataset, found: Figures) -> Markup:
    written = dataset.manifest.provenance
    commands = list(dict.fromkeys(label(entry.get("command", "")) for entry in written))
    ancestors = [
        [label(one["name"]), label(one["stage"]), element("code", one["content_hash"])] for one in lineage(dataset)
    ]
    return _section(
        "How it was made",
        element("p", "Who chose the actions:"),
        _counted(found.actors, found.steps, "by", "kinds"),
        element("p", f"Actors and annotators: {', '.join(map(label, sorted(found.makers))) or 'not told'}."),
        element("p", "Commands:"),
        *(element("pre", command) for command in commands[:_MOST_COMMANDS]),
        element("p", "It was made from:" if ancestors else "It was made from no other dataset."),
        table(["dataset", "stage", "content hash"], ancestors[:_MOST_ROWS], name="lineage"),
    )


def _pictures(credit: str, licence: str) -> Markup:
    parts = [element("p", credit or "The world names nobody whose pictures its frames would show.")]
    parts += [element("p", f"Licence: {licence}")] if licence else []
    return _section("Whose pictures", *parts)
