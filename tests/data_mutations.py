"""Ways to spoil files, for the fuzzers of data: bytes that flip, go, come, and JSON whose values become others."""

import copy
import json
import random
import signal
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

PHRASES = ("Next action: use", "human: ", "rig: ", "<Imagine:>", "Wait! Let's re-observe... ", "The reasoning: ")
VALUES = (
    None,
    True,
    False,
    0,
    -1,
    1,
    5.0,
    2.5,
    1e308,
    2**31,
    2**63,
    -(2**63),
    10**400,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "1",
    "\ud800",
    "\0\x1b[2J",
    "../../x",
    "é" * 300,
    *PHRASES,
    [],
    [0],
    [0, 0],
    [2, -3],
    ["forward"],
    ["move_left"],
    {},
    {"a": 1},
    {"a": {"b": [None, float("nan")]}},
)


ROOM = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""Where cases are written: in memory, for every dataset is flushed to the disk several times."""


class TookTooLong(BaseException):
    """A case did not end; no `except Exception` may take it for a refusal."""


@contextmanager
def ending_within(seconds):
    """Raise TookTooLong in the block where it takes longer."""

    def give_up(*_):
        raise TookTooLong

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcomes_of(case, count: int, seed: int, seconds: int = 20) -> dict[str, int]:
    """Call `case(rng, folder)` so often, each in an empty folder of its own; return the counts of what it returns.

    Raises:
        AssertionError: seed and case are named: anything was raised, or it took longer than `seconds`.
    """
    outcomes = Counter()
    for number in range(count):
        with tempfile.TemporaryDirectory(dir=ROOM) as folder:
            try:
                with ending_within(seconds):
                    outcomes[case(random.Random(f"{seed}/{number}"), Path(folder))] += 1
            except (Exception, TookTooLong) as error:
                raise AssertionError(f"seed {seed}, case {number}: {type(error).__name__}: {error}") from error
    return dict(outcomes)


def spoil_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return `data` with a few bytes changed, cut, doubled or made up."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place, length = rng.randrange(len(spoilt) + 1), rng.choice((1, 1, 4, 40))
        kind = rng.randrange(6)
        if kind == 0 and place < len(spoilt):
            spoilt[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            spoilt[place : place + length] = rng.randbytes(length)
        elif kind == 2:
            del spoilt[place : place + length]
        elif kind == 3:
            spoilt[place:place] = spoilt[place : place + length]
        elif kind == 4:
            spoilt[place : place + length] = rng.choice((b"\0", b"\xff")) * length
        elif rng.random() < 0.2:
            del spoilt[place:]
    return bytes(spoilt)


def places(value, path=()):
    """Yield the way to every value within plain JSON."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


def spoil_json(value, rng: random.Random) -> str:
    """Return JSON (or nearly) of `value` with one or two values replaced, removed, renamed or nested without bottom."""
    spoilt = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2))):
        known = list(places(spoilt))
        if not known:  # nothing is left to be spoilt
            break
        *way, key = rng.choice(known)
        holder = spoilt
        for part in way:
            holder = holder[part]
        kind = rng.randrange(8)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[f"{key}s"] = holder.pop(key)
        elif kind == 2 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
            holder[key] = holder[key] + rng.choice((-1, 1, 0.5, -(2**33)))
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    text = json.dumps(spoilt)
    return text.replace("null", "[" * 100_000, 1) if rng.random() < 0.02 else text
