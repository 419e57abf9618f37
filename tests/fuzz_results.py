"""Scores, times of jobs and agents' origins that are spoilt: refused by name, or shown by every verb that reads them.

PYTHONPATH=src:tests python -c "import fuzz_results; print(fuzz_results.run(5000, seed=0))"
"""

from __future__ import annotations

import json
import random
import shutil
from contextlib import ExitStack
from dataclasses import asdict
from functools import cache
from pathlib import Path
from unittest.mock import patch

from data_mutations import outcomes_of, spoil_bytes, spoil_json
from fuzz_agents import good_agent

from rig.agents.checkpoint import AgentCheckpoint, has_learned_reviews, origin_of
from rig.cli.inspecting import inspect
from rig.cli.training import _told
from rig.errors import RigError
from rig.evaluate.causality import changes_of
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import CONFIG, refuse_foreign
from rig.evaluate.saved import CAUSALITY, EPISODES, IMAGINATION, REVIEWS, SUMMARY, read_rows
from rig.evaluate.scores import summarise
from rig.provenance import provenance
from rig.recipes import dreams, report
from rig.recipes import publish as publishing
from rig.recipes.jobs import TIMES
from rig.recipes.ladder import Ladder
from rig.recipes.presets import LADDERS
from rig.storage import write_json
from rig.train.runs import RUN_FILE, Run

_MADE = {**provenance(), "command": "rig train"}
_SHARE = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}
_CONFIG = EmbodiedConfig(agent="teacher:random", tasks=("place_table/tool",), episodes=2, dreams=1)


def _row(seed: int) -> dict[str, object]:
    return {
        "task": "place_table",
        "setting": "tool",
        "seed": 1_000_000 + seed,
        "success": seed == 0,
        "samples": 1.0,
        "steps": 7,
        "cost": {"read_tokens": 90, "text_tokens": 9, "image_tokens": 81, "seconds": 0.5},
        "claims": {"clauses": 5, "readable": 4, "checked": 3, "true": 2, "conclusions": 1, "followed": 1},
        "reviews": 3,
        "changed": 1,
        "verdicts": {"says": {"keep": 2, "change": 1, "nothing": 0}, "against": {"keep": 0, "change": 1}},
        "changes": {"decisions": 7, "changed": 2, "lost": [[0, 1], [2, 0]]},
    }


_ORIGIN = {
    "training": {"model_seed": 0, "start": "", "training": {"seed": 0, "steps": 4}},
    "data": [{"name": "s2", "stage": "s2", "content_hash": "0" * 64, "trajectories": 4, "steps": 90}],
    "tokenizers": {"hash": "x", "psnr": 20.5, "codebook_use": 0.5, "frames": 4.0},
    "totals": {"steps": 4.0, "conversations": 16.0, "tokens": 4096.0, "seconds": 1.5},
    "provenance": _MADE,
}


@cache
def good_files() -> dict[str, str]:
    """Return the text of every file, by its way from a ladder's root."""
    depth = {"steps": 1, "psnr": _SHARE, "ssim": _SHARE, "identical": 0, "cells_right": _SHARE, "stills_right": None}
    depth |= {"action_agreement": _SHARE, "action_agreement_by_chance": 0.2}
    depth |= {"frechet": {"value": 0.1, "extractor": "e", "dims": 3, "n": 8, "n_references": 8, "warning": ""}}
    rows = [_row(0), _row(1)]
    dreamed = {name: [depth, {**depth, "steps": 2}] for name in ("dream", "tokenizer", "copy")}
    shown = dict.fromkeys(("changed_good", "changed_bad", "mended", "same", "consistent", "true"), _SHARE)
    weighed = {"decisions": 9, "agreed": 4, "against": 2, "told": 1, "best": 1, "episodes": 4, "plans": _SHARE}
    weighed |= dict.fromkeys(("most_votes", "best_score", "best_taken", "best_by_votes", "best_at_random"), _SHARE)
    exchanged = {
        "episodes": 2,
        "success": _SHARE,
        "against_own": {"estimate": _SHARE, "p_value": 0.5, "wins": 1, "losses": 0},
        "cost_per_decision": rows[0]["cost"],
        **changes_of(rows),
    }
    run = {"config": {"training": {"steps": 4}, "form": None}, "provenance": _MADE, "legs": [{"steps": 4}]}
    about = json.loads((good_agent() / "agent.json").read_text()) | {"origin": _ORIGIN}
    files = {
        f"eval/lookahead-1/{SUMMARY}": summarise(rows, _CONFIG) | {"runs_in": {"device": "cpu", "dtype": "float32"}},
        f"eval/lookahead-1/{CONFIG}": asdict(_CONFIG),
        f"imagine/basic/{IMAGINATION}": dreamed
        | {"config": asdict(_CONFIG), "provenance": _MADE, "chains": 8, "passes": 3.0, "noise_actions": 0.1},
        f"reviews/{REVIEWS}": {"lookaheads": 8, "episodes": 4, "bad": 2, "shown": {"real": shown, "still": shown}}
        | {"plans": weighed},
        f"causality/{CAUSALITY}": {
            "config": asdict(_CONFIG),
            "provenance": _MADE,
            "seeds": [0, 1],
            "plans": 4,
            "rows": {"own": {**exchanged, "against_own": None}, "still": exchanged, "majority": exchanged},
        },
        f"runs/{RUN_FILE}": run,
        "train/basic-1/agent/agent.json": about,
    }
    lines = {
        f"eval/lookahead-1/{EPISODES}": rows,
        f"logs/{TIMES}": [{"job": "s1", "seconds": 3.5, "threads": 1}],
        "runs/metrics.jsonl": [{"step": 2, "loss": 1.0}, {"step": 4, "loss": 0.5}],
    }
    return {name: json.dumps(value) for name, value in files.items()} | {
        name: "".join(f"{json.dumps(line)}\n" for line in some) for name, some in lines.items()
    }


def read_all(root: Path, name: str) -> None:
    """Have everything that reads the file `name` of the ladder in `root` read it.

    Raises:
        RigError: it is refused.
    """
    path = root / name
    inspect(path)
    inspect(path.parents[1] if path.name == TIMES else path.parent)
    if path.name in (EPISODES, CONFIG):
        refuse_foreign(path.parent, _CONFIG, resume=True)
        write_json(root / "summary.json", summarise(read_rows(path.parent), _CONFIG))
    if path.parent.name == "runs":
        with Run(path.parent, json.loads(good_files()[f"runs/{RUN_FILE}"])["config"], resume=True) as run:
            run.metrics()
    if path.name == "agent.json":
        agent = path.parent
        has_learned_reviews(agent)
        origin_of(agent)
        _told(agent)
        _publish(root, agent)
    if path.name in (SUMMARY, IMAGINATION):
        _publish(root, root / "train" / "basic-1" / "agent", path.parent)


def _publish(root: Path, agent: Path, *results: Path) -> None:
    with patch.object(publishing.AgentCheckpoint, "load", return_value=_loaded()):  # its tensors are not what is spoilt
        publishing.publish(agent, root / "given", title="A", made_by="", results=results)


@cache
def _loaded() -> AgentCheckpoint:
    return AgentCheckpoint.load(good_agent())


def _report(root: Path) -> None:
    """Write the report, without the figures and the plan of jobs, which take longest and read nothing."""
    ladder = Ladder(LADDERS.get("crafter/debug"), root)
    with ExitStack() as stack:
        stack.enter_context(patch.object(Ladder, "jobs", return_value=[]))
        for module in (report, dreams):
            stack.enter_context(patch.object(module, "draw_lines", lambda path, *_, **__: path))
        report.write_report(ladder, root / "page.md", "A")


def _case(rng: random.Random, root: Path) -> str:
    name = rng.choice(sorted(good_files()))
    for other, text in good_files().items():
        (root / other).parent.mkdir(parents=True, exist_ok=True)
        (root / other).write_text(text)
    shutil.copyfile(good_agent() / "config.json", root / "train" / "basic-1" / "agent" / "config.json")
    for scores in (f"eval/lookahead-1/{SUMMARY}", f"imagine/basic/{IMAGINATION}"):
        value = json.loads(good_files()[scores])
        value["config"]["agent"] = str(root / "train" / "basic-1" / "agent")
        write_json(root / scores, value)
    path = root / name
    path.write_bytes(_spoilt(path, rng))
    seen = set()
    for read in (lambda: read_all(root, name), lambda: _report(root)):
        try:
            read()
            seen.add("accepted")
        except RigError:
            seen.add("refused")
    return "refused" if "refused" in seen else "accepted"


def _spoilt(path: Path, rng: random.Random) -> bytes:
    data = path.read_bytes()
    if rng.random() < 0.2:
        return spoil_bytes(data, rng)
    if path.suffix == ".json":
        value = json.loads(data)
        if path.name == "agent.json":  # the rest of it is what `fuzz_agents` spoils
            return json.dumps(value).replace(json.dumps(value["origin"]), spoil_json(value["origin"], rng)).encode()
        return spoil_json(value, rng).encode()
    lines = data.splitlines()
    number = rng.randrange(len(lines))
    lines[number] = spoil_json(json.loads(lines[number]), rng).encode()
    return b"".join(line + b"\n" for line in lines)


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Spoil one file in each of `count` cases; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, or a hang.
    """
    return outcomes_of(_case, count, seed)
