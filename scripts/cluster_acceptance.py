"""Collect, reason and evaluate on a Ray cluster of two workers, one of which is lost in the middle; then compare.

    python scripts/cluster_acceptance.py [--episodes 20] [--out FOLDER]

The cluster is a real one of this machine: a head that does no work, and two nodes with processes of their own. While a
command has its pieces done there, one node is killed (SIGKILL to all of it); before the next command another joins. At
the end each dataset has the hash, and each score the rows, that the command gives without a cluster. The result is one
line of JSON; the exit status is 1 where anything is not so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from acceptance import Failed, conclude, rig

from rig.data import Dataset
from rig.evaluate.saved import read_rows

ROOT = Path(__file__).resolve().parent.parent
AGENT = ROOT / "checkpoints" / "rig-crafter-small"
WORKERS = ("--workers", "2")
_PATIENCE = 600.0


def run(words: Sequence[object]) -> None:
    """Run a command to its end."""
    end(begin(words), words)


def begin(words: Sequence[object]) -> subprocess.Popen[bytes]:
    """Begin a command."""
    return subprocess.Popen(rig(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes], words: Sequence[object]) -> None:
    """Wait until a command has ended well."""
    told = process.communicate(timeout=_PATIENCE)[1]
    if process.returncode:
        raise Failed(f"rig {words[0]} ended with {process.returncode}: {told.decode(errors='replace')[-2000:]}")


def at_work() -> int:
    """Return how many workers do a piece of work: a Ray worker's title is its actor's method while one runs."""
    found = 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += process.read_bytes().startswith(b"ray::_Hand.")
    return found


def lossy(words: Sequence[object], nodes: Nodes) -> None:
    """Run a command on the cluster, and kill a node while both of its workers are at work."""
    process, until = begin([*words, *WORKERS, "--ray", nodes.address]), time.monotonic() + _PATIENCE
    while at_work() < len(nodes):
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise Failed(f"rig {words[0]} was not seen at work on two nodes: {process.communicate()[1]!r}")
        time.sleep(0.02)
    nodes.kill_one()
    end(process, words)
    nodes.refill()


class Nodes:
    """A head without a place to work, and two nodes with one each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self._nodes = [self._cluster.add_node(num_cpus=1) for _ in range(2)]
        self.address: str = self._cluster.address
        self.killed = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def kill_one(self) -> None:
        """Kill a node."""
        self._cluster.remove_node(self._nodes.pop(0), allow_graceful=False)
        self.killed += 1

    def refill(self) -> None:
        """Have another node in the place of one that was killed."""
        self._nodes.append(self._cluster.add_node(num_cpus=1))

    def close(self) -> None:
        """End the cluster."""
        self._cluster.shutdown()


def accept_all(root: Path, episodes: int) -> dict[str, Any]:
    """Run each command here, and on a cluster of its own; return what was compared."""
    nodes = Nodes()
    try:
        return compare(root, episodes, nodes)
    finally:
        nodes.close()


def compare(root: Path, episodes: int, nodes: Nodes) -> dict[str, Any]:
    """Run each command here and there; return what was compared."""
    here, there = root / "here", root / "there"
    found: dict[str, Any] = {}
    tasks = ("--tasks", "collect_wood", "collect_stone", "place_table", "--episodes", episodes)
    commands: dict[str, tuple[object, ...]] = {
        "s1": ("collect", *tasks),
        "s2": ("reason", "--source", here / "s1"),
        "eval": ("eval", "--agent", AGENT, "--dtype", "float32", *tasks[:-1], max(2, episodes // 10)),
    }
    for name, words in commands.items():
        run([*words, "--out", here / name])
        lossy([*words, "--out", there / name], nodes)
        one, other = (said(folder / name) for folder in (here, there))
        if one != other:
            raise Failed(f"rig {words[0]} made something else on the cluster")
        found[str(words[0])] = len(one) if isinstance(one, list) else one
    return found | {"nodes_killed": nodes.killed}


def said(folder: Path) -> Any:
    """Return what a folder holds: the hash of a dataset, or the rows of an evaluation but for their seconds."""
    if folder.name != "eval":
        return Dataset(folder).content_hash
    rows = [{**row, "cost": {**row["cost"], "seconds": 0}} for row in read_rows(folder)]
    return sorted(rows, key=lambda row: (row["task"], row["setting"], row["seed"]))


def main() -> int:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=40, help="per task and setting that are collected")
    parser.add_argument("--out", help="folder to work in; one that is removed where none is given")
    given = parser.parse_args()
    return conclude(lambda root: accept_all(root, given.episodes), given.out)


if __name__ == "__main__":
    sys.exit(main())
