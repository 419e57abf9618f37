"""Makes a trained agent ready to be given away: a copy of its folder with a card that says what it is and does."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any, Literal

from rig.agents.checkpoint import AgentCheckpoint, Origin, origin_of
from rig.agents.hub import FILES
from rig.envs import profile_of
from rig.errors import RigError
from rig.evaluate.measures import CELLS, PSNR, SSIM, shown, taken
from rig.evaluate.saved import IMAGINATION, SUMMARY, read_scores
from rig.evaluate.stats import interval
from rig.hub import hub_name
from rig.recipes.card_head import card_head, mode
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
    repository: str = "",
    licence: str = "apache-2.0",
    datasets: Sequence[str] = (),
) -> Path:
    """Copy `agent` to `out`, with a card made from its origin and from results of `rig eval` and `rig imagine`.

    Of the agent's folder its own files are copied, whatever else lies there.

    Args:
        agent: the agent's folder.
        out: a new folder.
        title: of the card.
        made_by: the documented command that leads to the agent; none where empty.
        results: folders with a `summary.json` or an `imagination.json` of this agent.
        dtype: "float32", or "bfloat16" for half the size: it then acts everywhere as it does where it runs in
            bfloat16. The VQ tokenizer is kept in float16 where that loses nothing.
        repository: where it is to be on a hub, "owner/name"; not said where empty.
        licence: as hubs spell it, like "apache-2.0".
        datasets: repositories, on a hub, of what it was trained on.

    Raises:
        CheckpointError: the agent cannot be loaded, or does not say how it was made.
        RigError: `out` exists, results are missing or another agent's, or there can be no such repository or licence.
    """
    refuse_existing(out, "choose another folder with --out")
    _check_names(repository, licence, datasets)
    checkpoint = AgentCheckpoint.load(agent)
    origin = origin_of(agent)
    scores = [_read(folder, agent) for folder in results]
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted({path for pattern in FILES for path in agent.glob(pattern) if path.is_file()}):
        shutil.copyfile(path, out / path.name)
    if dtype == "bfloat16":
        _write_half(checkpoint, out)
    head = card_head(
        title,
        checkpoint.environment,
        speaks=_speaks(checkpoint),
        licence=licence,
        datasets=datasets,
        scores=scores,
    )
    card = [
        head,
        f"# {title}",
        _about(checkpoint, out, licence),
        _use(repository, checkpoint.environment),
        _made(origin, made_by),
    ]
    parts = [*card, *(["## Scores", *map(_scores, scores)] if scores else [])]
    write_text(out / CARD, "\n\n".join(parts) + "\n")
    return out / CARD


def _check_names(repository: str, licence: str, datasets: Sequence[str]) -> None:
    for name in filter(None, (repository, *datasets)):
        found = hub_name(name)
        if found is None or found.repository != name:
            raise RigError(f"{name!r} is no repository's id; it is owner/name")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", licence):
        raise RigError(f"licence {licence!r}: as hubs spell it, in small letters, for example apache-2.0, mit or other")


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


def _speaks(checkpoint: AgentCheckpoint) -> list[str]:
    said = (("thoughts", checkpoint.prompt_format.thought), ("dreams", checkpoint.prompt_format.dream))
    return [name for name, has in said if has]


def _use(repository: str, environment: str) -> str:
    named = repository or "this/folder"
    agent = f"hf:{repository}" if repository else named
    return (
        f"## Using it\n\nWith `pip install 'rig-agent[{','.join([*_extra(environment), 'hub'])}]'`:\n\n"
        f'```python\nimport rig\n\nagent = rig.load_agent("{named}")\n'
        f'decision = agent.decide(frame, "{_instruction(environment)}")  # frame: uint8 [H, W, 3]\n'
        "frames = agent.dream(frame, [decision.action])\n```\n\n"
        f"or `rig play --agent {agent} --out trace.html`."
        + (f' `"{named}@REVISION"` pins a branch, a tag or a commit.' if repository else "")
    )


def _extra(environment: str) -> list[str]:
    """Return the extra of this package that installs a world, if there is one that is known of."""
    with suppress(PackageNotFoundError):  # rig runs from its sources, too
        return [extra for extra in metadata("rig-agent").get_all("Provides-Extra", []) if extra == environment]
    return []


def _instruction(environment: str) -> str:
    """Return what an agent can be told in its world; an agent is given away without its world, too."""
    tasks = getattr(profile_of(environment), "tasks", ())
    return next((task.instruction for task in tasks), "what is to be done")


def _about(checkpoint: AgentCheckpoint, folder: Path, licence: str) -> str:
    config = checkpoint.model.config
    size, side = bytes_of(folder), config.vision.image_size
    count, dtype = sum(value.numel() for value in checkpoint.model.parameters()), checkpoint.model.runs_in["dtype"]
    return (
        f"A RIG agent (arXiv 2503.24388) for the world `{checkpoint.environment}`: {count / 1e6:.1f} M parameters "
        f"({config.decoder.num_layers} layers of width {config.decoder.hidden_size}), {size / 1e6:.1f} MB, {dtype}. "
        f"It speaks {' and '.join(_speaks(checkpoint)) or 'actions alone'}, reads and writes frames of {side} × {side} "
        f"pixels, and presses {len(checkpoint.space.keys)} keys. "
        f"Licence: {licence}."
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
    rows = [[name, interval(cell["success"])] for name, cell in found["cells"].items()]
    cut = f", cut after {config['most_steps']} decisions" if config.get("most_steps") else ""
    computed = f", in {found['runs_in']['dtype']}" if found.get("runs_in") else ""
    head = (
        f"{mode(found)}: mean success {interval(found['success'])} over {found['episodes']} episodes of the "
        f"{config['split']} split (seeds {found['seeds'][0]} to {found['seeds'][1]}, temperature "
        f"{config['temperature']}{cut}"
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
