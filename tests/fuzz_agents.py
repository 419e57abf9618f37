"""Agents whose files are spoilt: refused by name, or an agent that decides.

PYTHONPATH=src:tests python -c "import fuzz_agents; print(fuzz_agents.run(5000, seed=0))"
"""

from __future__ import annotations

import atexit
import json
import random
import shutil
import struct
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
from data_mutations import ROOM, TookTooLong, ending_within, spoil_bytes, spoil_json
from engine_makers import CONFIG, TOKENIZER
from safetensors.numpy import load, save

from rig.actions import CRAFTER, NOOP
from rig.agents import Basic, Lookahead, PolicyConfig, build_policy
from rig.agents.checkpoint import AGENT_FILE, AgentCheckpoint
from rig.dialogue import PromptFormat
from rig.errors import RigError
from rig.model import RIG
from rig.model.checkpoint import CONFIG_FILE, WEIGHTS_FILE
from rig.records import Observation

_SECONDS = 20
TOKENIZER_FILE = "tokenizer.json"


@cache
def good_agent() -> Path:
    """Return the folder of a small untrained agent, made once in this process; cases spoil one file and mend it."""
    folder = Path(tempfile.mkdtemp(dir=ROOM))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    AgentCheckpoint(
        model=RIG(CONFIG, seed=0),
        tokenizer=TOKENIZER,
        prompt_format=PromptFormat(),
        space=CRAFTER,
        environment="crafter",
        origin={"data": [{"stage": "s2"}]},
    ).save(folder)
    return folder


def decide(folder: Path) -> None:
    """Load the agent in `folder`, and have it decide, with one dream where it dreams.

    Raises:
        RigError: it is refused.
    """
    checkpoint = AgentCheckpoint.load(folder)
    planner = Lookahead() if checkpoint.prompt_format.dream else Basic()
    config = PolicyConfig(
        prompt_format=checkpoint.prompt_format, planner=planner, thought_tokens=2, entropy_threshold=99.0
    )
    frame = np.random.default_rng(0).integers(0, 256, (63, 63, 3), dtype=np.uint8)
    observation = Observation(frame=frame, instruction="collect wood", previous_action=NOOP)
    (decision,) = build_policy(checkpoint, config).decide([observation], [0])
    checkpoint.space.check(decision.action)


def spoilt(name: str, data: bytes, rng: random.Random) -> bytes:
    """Return a spoilt copy of a file of an agent."""
    if name == WEIGHTS_FILE:
        return _spoilt_weights(data, rng)
    return spoil_json(json.loads(data), rng).encode() if rng.random() < 0.8 else spoil_bytes(data, rng)


def _spoilt_weights(data: bytes, rng: random.Random) -> bytes:
    """Return weights whose header is another, whose file is cut, or of which some are enormous, if finite."""
    (length,) = struct.unpack("<Q", data[:8])
    kind = rng.randrange(5)
    if kind == 0:
        return struct.pack("<Q", rng.choice((0, 1, length - 1, length + 1, 2**31, 2**63, 2**64 - 1))) + data[8:]
    if kind == 1:
        return data[: rng.randrange(len(data))]
    if kind == 4:
        tensors = load(data)
        for key in rng.sample(sorted(tensors), rng.choice((1, 5, len(tensors)))):
            tensors[key] = np.clip(tensors[key] * np.float32(10.0 ** rng.randrange(10, 39)), -3e38, 3e38)
        return save(tensors)
    header = data[8 : 8 + length]
    header = spoil_bytes(header, rng) if kind == 2 else spoil_json(json.loads(header), rng).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def try_cases(files: dict[str, int], count: int, seed: int) -> dict[str, int]:
    """Spoil one of `files` (name -> weight) in each of `count` cases; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named: an exception that is no RigError, or a hang.
    """
    outcomes: Counter[str] = Counter()
    for case in range(count):
        rng = random.Random(f"{seed}/{case}")
        (name,) = rng.choices(list(files), list(files.values()))
        path = good_agent() / name
        good = path.read_bytes()
        path.write_bytes(spoilt(name, good, rng))
        try:
            with ending_within(_SECONDS):
                decide(good_agent())
            outcomes["accepted"] += 1
        except RigError:
            outcomes["refused"] += 1
        except (Exception, TookTooLong) as error:
            raise AssertionError(f"seed {seed}, case {case}, {name}: {type(error).__name__}: {error}") from error
        finally:
            path.write_bytes(good)
    return dict(outcomes)


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Try `count` spoilt agents; see `try_cases`."""
    return try_cases({AGENT_FILE: 6, TOKENIZER_FILE: 2, WEIGHTS_FILE: 2}, count, seed)


def run_configs(count: int, seed: int = 0) -> dict[str, int]:
    """Try `count` agents whose network's configuration is spoilt; see `try_cases`."""
    return try_cases({CONFIG_FILE: 1}, count, seed)
