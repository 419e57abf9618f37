"""Makes a trained agent ready to be given away: a copy of its folder with a card that says what it is and does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rig.agents.checkpoint import AgentCheckpoint, Origin, origin_of
from rig.errors import RigError
from rig.evaluate.measures import CELLS, PSNR, SSIM, shown, taken
from rig.evaluate.saved import IMAGINATION, SUMMARY, read_scores
from rig.evaluate.stats import interval
from rig.recipes.tables import CARD, commit_text, markdown
from rig.storage import bytes_of, refuse_existing, write_text


def publish(
    agent: Path,
    out: Path,
    *,
    title: str,
    made_by: str,
    results: Sequence[Path],
    dtype: Literal["float32", "bfloat16"] = "float32",
) -> Path:
    """Copy `agent` to `out`, with a card made from its origin and from results of `rig eval` and `rig imagine`.

    Args:
        agent: the agent's folder.
        out: a new folder.
        title: of the card.
        made_by: the documented command that leads to the agent; none where empty.
        results: folders with a `summary.json` or an `imagination.json` of this agent.
        dtype: "float32", or "bfloat16" for half the size: it then acts everywhere as it does where it runs in
            bfloat16. The VQ tokenizer is kept in float16 where that loses nothing.

    Raises:
        CheckpointError: the agent cannot be loaded, or does not say how it was made.
        RigError: `out` exists, or results are missing or another agent's.
    """
    refuse_existing(out, "choose another folder with --out")
    checkpoint = AgentCheckpoint.load(agent)
    origin = origin_of(agent)
    scores = [_read(folder, agent) for folder in results]
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(agent.iterdir()):
        shutil.copyfile(path, out / path.name)
    if dtype == "bfloat16":
        _write_half(checkpoint, out)
    card = [f"# {title}", _about(checkpoint, out), _made(origin, made_by)]
    write_text(out / CARD, "\n\n".join([*card, "## Scores", *map(_scores, scores)]) + "\n")
    return out / CARD


def _read(folder: Path, agent: Path) -> Mapping[str, Any]:
    for name in (SUMMARY, IMAGINATION):
        if (folder / name).is_file():
            found = read_scores(folder / name)
            if Path(found["config"]["agent"]).resolve() != agent.resolve():
                raise RigError(f"{folder} holds results of {found['config']['agent']}, not of {agent}")
            return found
    raise RigError(f"{folder} holds neither {SUMMARY} nor {IMAGINATION}; score the agent with `rig eval` first")


def _write_half(checkpoint: AgentCheckpoint, folder: Path) -> None:
    import torch

    from rig.model import save

    model = checkpoint.model.place(torch.device("cpu"), torch.bfloat16)
    vq = model.model.vqmodel
    if all(bool((value.half().float() == value).all()) for value in vq.state_dict().values()):
        vq.half()
    save(model, folder)


def _about(checkpoint: AgentCheckpoint, folder: Path) -> str:
    config = checkpoint.model.config
    size = bytes_of(folder)
    count, dtype = sum(value.numel() for value in checkpoint.model.parameters()), checkpoint.model.runs_in["dtype"]
    speaks = [
        name
        for name, has in (("thoughts", checkpoint.prompt_format.thought), ("dreams", checkpoint.prompt_format.dream))
        if has
    ]
    return (
        f"A RIG agent (arXiv 2503.24388) for the world `{checkpoint.environment}`: {count / 1e6:.1f} M parameters "
        f"({config.decoder.num_layers} layers of width {config.decoder.hidden_size}), {size / 1e6:.1f} MB, {dtype}. It "
        f"speaks {' and '.join(speaks) or 'actions alone'}, reads and writes frames of {config.vision.image_size} × "
        f"{config.vision.image_size} pixels, and presses {len(checkpoint.space.keys)} keys. `AgentCheckpoint.load` "
        "opens it. Licence: Apache-2.0, like the code."
    )


def _made(origin: Origin, made_by: str) -> str:
    training, provenance = origin["training"], origin["provenance"]
    hardware = provenance["hardware"]
    data = markdown(
        ["data", "stage", "episodes", "steps", "content hash"],
        [
            [part["name"], part["stage"], part["trajectories"], part["steps"], f"`{part['content_hash'][:16]}`"]
            for part in origin["data"]
        ],
    )
    lines = [
        *([f"* Made by `{made_by}`, of which this is the last training:"] if made_by else []),
        f"* Trained by `{provenance['command']}`.",
        f"* Seeds: {training['model_seed']} of the weights, {training['training']['seed']} of the order.",
        f"* Begun with `{training['start'] or 'fresh weights'}`.",
        f"* {origin['totals']['steps']:.0f} steps, {origin['totals']['conversations']:.0f} conversations, "
        f"{origin['totals']['tokens'] / 1e6:.1f} M tokens, {origin['totals']['seconds'] / 60:.0f} min.",
        f"* Commit {commit_text(provenance['commit'])}, {provenance['date'][:10]}, "
        f"{hardware['cpu']}, {hardware['cores']} cores, GPU: {hardware['gpu']}.",
    ]
    return "\n\n".join(["## How it was made", "\n".join(lines), data])


def _scores(found: Mapping[str, Any]) -> str:
    return _dreams(found) if "dream" in found else _play(found)


def _play(found: Mapping[str, Any]) -> str:
    config = found["config"]
    kind = f"RIG-lookahead, n = {config['dreams']}" if config["dreams"] else "RIG-basic, n = 0"
    rows = [[name, interval(cell["success"])] for name, cell in found["cells"].items()]
    cut = f", cut after {config['most_steps']} decisions" if config.get("most_steps") else ""
    computed = f", in {found['runs_in']['dtype']}" if found.get("runs_in") else ""
    head = (
        f"{kind}: mean success {interval(found['success'])} over {found['episodes']} episodes of the {config['split']} "
        f"split (seeds {found['seeds'][0]} to {found['seeds'][1]}, temperature {config['temperature']}{cut}"
        f"{computed}); "
        f"`{found['provenance']['command']}`."
    )
    return f"{head}\n\n{markdown(['task/setting', 'success [95 %]'], rows)}"


def _dreams(found: Mapping[str, Any]) -> str:
    measures = taken(found["dream"], (CELLS, PSNR, SSIM))
    rows = [[entry["steps"], *shown(entry, measures)] for entry in found["dream"]]
    head = (
        f"Dreams against what really comes, {found['chains']} chains of the {found['config']['split']} split; "
        f"`{found['provenance']['command']}`."
    )
    return f"{head}\n\n{markdown(['steps ahead', *measures.values()], rows)}"
