"""Run the fuzzers in full: spoilt recordings, manifests, agents, configurations, texts and actions.

    python scripts/fuzz.py [NAME ...] [--count N] [--seed S]

A fuzzer is a module `tests/fuzz_NAME.py` with `run(count, seed)`, which returns how many cases ended in which way and
raises AssertionError, naming seed and case, where one ended in a way that nobody promised. `make test` runs each in
small. The last line is the counts as JSON; the exit status is 1 where a case failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib import import_module
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent / "tests"
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in TESTS.glob("fuzz_*.py"))
COUNTS = {"actions": 1_000, **dict.fromkeys(("lerobot", "minerl", "minestudio", "playground", "serve", "vpt"), 10_000)}
COUNT = 5_000
PORTION = 100
"""Cases that are run between two looks at the bar; a portion has a seed of its own."""


def main() -> int:
    """Run the fuzzers that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all where none is given")
    parser.add_argument("--count", type=int, help=f"cases of each; {COUNT}, but {COUNTS}")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no fuzzer {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if given.count is not None and given.count < 1:
        parser.error(f"--count {given.count}: at least 1")
    sys.path.insert(0, str(TESTS))
    results = [fuzz(name, given.count or COUNTS.get(name, COUNT), given.seed) for name in given.names or NAMES]
    print(json.dumps({result["fuzzer"]: result for result in results}))
    return int(any("failed" in result for result in results))


def fuzz(name: str, count: int, seed: int) -> dict[str, object]:
    """Run a fuzzer; return its counts and seconds, and what failed, if anything did."""
    from tqdm import tqdm

    module, started, outcomes = import_module(f"fuzz_{name}"), time.perf_counter(), dict[str, int]()
    result: dict[str, object] = {"fuzzer": name, "cases": count, "seed": seed}
    try:
        with tqdm(total=count, desc=name, unit="case") as bar:
            for first in range(0, count, PORTION):
                some = min(PORTION, count - first)
                for outcome, number in module.run(some, seed * 1_000_003 + first // PORTION).items():
                    outcomes[outcome] = outcomes.get(outcome, 0) + number
                bar.update(some)
    except AssertionError as error:
        result["failed"] = str(error)
    result |= {"outcomes": outcomes, "seconds": round(time.perf_counter() - started, 1)}
    counts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    failure = f" · FAILED: {result['failed']}" if "failed" in result else ""
    print(f"{name}: {counts} in {result['seconds']} s{failure}")
    return result


if __name__ == "__main__":
    sys.exit(main())
