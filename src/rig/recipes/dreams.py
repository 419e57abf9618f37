"""What a ladder's dreams are like: tables, a figure, and pictures."""

from __future__ import annotations

from pathlib import Path

from rig.envs import make_world
from rig.evaluate.imagination import PICTURE
from rig.evaluate.measures import AGREEMENT, CELLS, CHANGED, FRECHET, PSNR, SSIM, STILLS, shown, taken
from rig.evaluate.stats import estimate_of
from rig.recipes.figures import draw_lines
from rig.recipes.results import Results
from rig.recipes.tables import NAMES, image, markdown
from rig.storage import write_bytes

SHOWN = ("basic", "lookahead")
"""Rows whose dreams are shown as pictures."""


def imagination_table(results: Results, figures: Path, page: Path) -> str:
    """Return how dreams of the teacher's actions score at each depth, as a table and a figure."""
    if not results.imagined:
        return ""
    some = next(iter(results.imagined.values()))
    kinds = [(NAMES.get(name, name), scores["dream"]) for name, scores in results.imagined.items()]
    kinds += [
        ("tokenizer's round trip (ceiling)", some["tokenizer"]),
        ("copy of the first frame (floor)", some["copy"]),
    ]
    order = (CELLS, CHANGED, AGREEMENT, PSNR, SSIM, FRECHET)
    measures = taken([entry for _, entries in kinds for entry in entries], order)
    rows = [[name, entry["steps"], *shown(entry, measures)] for name, entries in kinds for entry in entries]
    drawn, axis = (CELLS, "share of grid cells right") if CELLS in measures else (SSIM, "SSIM")
    curves = {
        name: [(entry["steps"], estimate_of(entry[drawn])) for entry in entries if entry.get(drawn)]
        for name, entries in kinds
    }
    figure = draw_lines(figures / "dream-depth.svg", curves, x="steps ahead", y=axis)
    first = some["dream"][0]
    frechet, chance = first["frechet"], first.get("action_agreement_by_chance")
    told = [
        f"{some['chains']} chains of actions from taught episodes in evaluation worlds ({some['noise_actions']:.0%} of "
        "the actions are noise)."
    ]
    if CHANGED in measures:
        told.append("Changed cells are those that differ from the frame the chain begins with.")
    if chance is not None:
        told.append(
            "A dream agrees with its action where it is nearer to what came of it than to what any other key would "
            f"have led to; one step ahead {chance:.2f} would by chance."
        )
    told.append(
        f"Fréchet: the distance over `{frechet['extractor']}` features ({frechet['dims']} dims, {frechet['n']} "
        "frames), not Inception's, so no FID to compare with other papers."
    )
    table = markdown(["frames", "steps ahead", *measures.values()], rows)
    return f"{' '.join(told)}\n\n{table}\n\n{image(figure, page)}"


def own_dreams_table(results: Results) -> str:
    """Return how dreams of the agents' own actions score, as a table."""
    if not results.own_dreams:
        return ""
    first = {name: scores["dream"][0] for name, scores in results.own_dreams.items()}
    measures = taken(list(first.values()), (CELLS, CHANGED, STILLS, AGREEMENT, PSNR, SSIM))
    rows = [
        [NAMES.get(name, name), results.own_dreams[name]["chains"], *shown(entry, measures)]
        for name, entry in first.items()
    ]
    text = "One step ahead, of actions that the agent itself chose, after its own thoughts: what a review looks at."
    if STILLS in measures:
        text += " Stills are actions of which nothing comes; right are the dreams that show just that."
    return f"{text}\n\n{markdown(['agent', 'dreams', *measures.values()], rows)}"


def dreams_shown(results: Results, figures: Path, page: Path) -> str:
    """Show what the rows of `SHOWN` dreamed, copied beside the page."""
    parts = []
    for name in SHOWN:
        drawn = results.ladder.root / "imagine" / name / PICTURE
        if drawn.is_file():
            figure = figures / f"dreams-{name}{drawn.suffix}"
            write_bytes(figure, drawn.read_bytes())
            parts.append(f"{NAMES[name]}:\n\n{image(figure, page)}")
    if not parts:
        return ""
    text = (
        "The first chain of each task as pictures: the frame it begins with and those that came, each under the action "
        "that led to it; below them what was dreamed, every dream from the one before."
    )
    credit = make_world(results.ladder.config.environment).credit
    return "\n\n".join([f"{text} {credit}".strip(), *parts])
