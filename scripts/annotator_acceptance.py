"""Have 500 steps annotated through failures, a server that is restarted, and a kill of our process; then count.

    python scripts/annotator_acceptance.py [--records 500] [--failures 0.2] [--out FOLDER]

A real HTTP server on this machine speaks OpenAI's API (`tests/chat_server.py`), fails so many calls, and answers some
with what is no JSON. `rig reason`, `rig rereview` and `rig review` go through it one after the other. In each, the
process is killed (SIGKILL) when a third of the answers were given, the server is restarted when two thirds were, and
the command is run again with `--resume`. At the end every record is there once, no request was answered twice, and what
the dataset says of its cost is what the server charged. The result is one line of JSON; the exit status is 1 where
anything is not so.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from acceptance import Failed, conclude, rig

from rig.data import Dataset

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

PRICES = ("usd_per_million_in=2.5", "usd_per_million_out=10")
MANY = 1_000_000
ROLES = {"reason": "reasoner", "rereview": "reviewer", "review": "reviewer"}
TASKS = ("collect_wood", "collect_stone", "place_table")
_EPISODES_FOR = 90
"""Records that an episode of each task holds, about."""
_REVIEWS_FOR = 8
"""Reviews of the shipped agent that an episode of each task and setting leads to, at the least."""
_PATIENCE = 1800.0


def run(*words: object) -> dict[str, Any]:
    """Run a command to its end, and return its JSON."""
    done = subprocess.run([*rig(*words), "--json"], capture_output=True, check=False)
    if done.returncode:
        raise Failed(f"rig {words[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def asking(verb: str, server: Any, cache: Path) -> list[object]:
    """Return the words of a command that has it ask a server."""
    role = ROLES[verb]
    words: list[object] = [f"--{role}", "openai", f"--{role}-config", "model=tiny-vision", f"base_url={server.url}"]
    return [*words, f"cache={cache}", "concurrency=8", *PRICES, "first_pause=0.05", "timeout=20", "retry_seconds=120"]


def accept(verb: str, given_to_it: Sequence[object], wanted: Path, root: Path, server: Any) -> dict[str, Any]:
    """Run a verb through a kill and a restart of the server; return the counts, all of which are as they should be.

    Args:
        verb: of `ROLES`.
        given_to_it: the words that say what it works on.
        wanted: a dataset with the records that it is to write.
        root: the folder to work in.
        server: a `ServerProcess`.
    """
    before = server.ledger().totals()
    words = [verb, *given_to_it, "--out", root / verb, *asking(verb, server, root / "answers")]
    records = Dataset(wanted).manifest.counts["steps"]

    def given() -> int:
        return server.ledger().totals()[0] - before[0]

    began = time.monotonic()
    # Killed before a shard is written, so that the dataset holds nothing yet of what was paid.
    process = subprocess.Popen(rig(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: given() >= records // 3 or process.poll() is not None)
    if process.poll() is not None:
        raise Failed(f"rig {verb} ended with {process.returncode} before it could be killed")
    process.kill()
    process.wait()
    killed_at = given()
    again = subprocess.Popen(
        [*rig(*words), "--resume", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    wait_until(lambda: given() >= 2 * records // 3 or again.poll() is not None)
    server.end()
    time.sleep(0.5)
    server.start()
    told, _ = again.communicate()
    if again.returncode:
        raise Failed(f"rig {verb} --resume ended with {again.returncode}")
    return counted(verb, root / verb, wanted, json.loads(told), killed_at, server.ledger().totals(), before) | {
        "seconds": round(time.monotonic() - began, 1)
    }


def counted(
    verb: str, out: Path, wanted: Path, told: dict[str, Any], killed_at: int, after: Any, before: Any
) -> dict[str, Any]:
    """Return what came of a run, having compared it with what the server charged."""
    costs = told["costs"][ROLES[verb]]
    charged = [late - soon for late, soon in zip(after[:3], before[:3], strict=True)]
    steps, there = places(Dataset(out)), places(Dataset(wanted))
    price = (charged[1] * 2.5 + charged[2] * 10) / 1e6
    for is_so, what in (
        (sorted(steps) == sorted(set(steps)), "a record is there twice"),
        (sorted(steps) == sorted(there), f"{len(steps)} records of {len(there)}"),
        (all(step.thought for step in Dataset(out).steps()), "a record has no thought"),
        (after[3] == 1, f"a request was answered {after[3]} times"),
        ([costs["calls"], costs["tokens_in"], costs["tokens_out"]] == charged, f"{costs} where {charged} was charged"),
        (abs(costs["usd"] - price) < 1e-9, f"{costs['usd']} USD where {price} was charged"),
    ):
        if not is_so:
            raise Failed(f"rig {verb}: {what}")
    return {"records": len(steps), "killed_at": killed_at, "charged": charged[0], "usd": round(price, 6), **costs}


def places(dataset: Dataset) -> list[tuple[str, int]]:
    """Return where every record of a dataset stands."""
    columns = dataset.table(["trajectory", "index"]).to_pydict()
    return list(zip(columns["trajectory"], columns["index"], strict=True))


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise Failed("it took too long")
        time.sleep(0.01)


def made(root: Path, records: int) -> dict[str, tuple[list[object], Path]]:
    """Make what to annotate, about so many steps for each verb; return its words, and a dataset of what it is to write.

    There is play to be thought about, reviews to be written anew, and an agent to be reviewed; the last a calm server
    does first.
    """
    from chat_server import ServerProcess

    episodes = max(1, records // _EPISODES_FOR + 1)
    for _ in range(4):
        words = ["--tasks", *TASKS, "--episodes", episodes]
        if run("collect", *words, "--out", root / "s1", "--overwrite")["steps"] >= 1.2 * records:
            break
        episodes *= 2
    run("reason", "--source", root / "s1", "--out", root / "s2", "--same-actions", MANY)
    states = ["--states", 40, "--slips", 20]
    run("rehearse", "--source", root / "s2", "--out", root / "s4", *states)
    agent: list[object] = ["--agent", ROOT / "checkpoints/rig-crafter-small", "--tasks", *TASKS, "--states", 8]
    agent += ["--episodes", records // _REVIEWS_FOR + 1, "--dtype", "float32"]
    server = ServerProcess(root / "calm.jsonl")
    try:
        run("review", *agent, "--out", root / "s3", *asking("review", server, root / "calm"))
    finally:
        server.end()
    return {
        "reason": (["--source", root / "s1", "--no-validate", "--same-actions", MANY], root / "s2"),
        "rereview": (["--source", root / "s4"], root / "s4"),
        "review": (agent, root / "s3"),
    }


def accept_all(root: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Run every verb, beside a server that fails as often as is given; return the counts of each."""
    from chat_server import ServerProcess

    works = made(root, given.records)
    server = ServerProcess(root / "charged.jsonl", failures=given.failures, malformed=0.03, latency=0.02)
    try:
        return {verb: accept(verb, *work, root, server) for verb, work in works.items()}
    finally:
        server.end()


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=500, help="steps to annotate, about")
    parser.add_argument("--failures", type=float, default=0.2, help="share of calls that fail")
    parser.add_argument("--out", help="folder to work in; one that is removed where none is given")
    given = parser.parse_args()
    return conclude(lambda root: accept_all(root, given), given.out)


if __name__ == "__main__":
    sys.exit(main())
