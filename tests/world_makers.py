"""A world of a user's own: the package of docs/extending.md, as if pip had installed it, and an agent for it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from rig.agents.checkpoint import AgentCheckpoint
from rig.dialogue import PromptFormat, train_bpe
from rig.envs import make_world
from rig.model import PRESETS, RIG
from rig.train.tokenizers import text_atoms

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"


def docs_check() -> ModuleType:
    """Return the script that runs what the documentation shows."""
    found = importlib.util.spec_from_file_location("docs_check", ROOT / "scripts" / "docs_check.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@contextmanager
def coin_package(folder: Path) -> Iterator[None]:
    """Write the page's package into `folder`; while the block runs, it counts as installed."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        checks = docs_check()
        for item in checks.plan(PAGE):
            if item.kind == "write":
                checks.do(item)
        yield
    for name in set(sys.modules) - known:
        if name.startswith("coin_"):
            del sys.modules[name]


def coin_agent(folder: Path, environment: str = "coin", prompt_format: PromptFormat | None = None) -> str:
    """Write an untrained agent for the coin's world into `folder`; return the folder."""
    config, space = PRESETS.get("coin"), make_world("coin").actions
    text = train_bpe([], vocabulary_size=config.decoder.vocab_size, atoms=text_atoms(space))
    made = {
        "model": RIG(config, seed=0),
        "tokenizer": text,
        "prompt_format": prompt_format or PromptFormat(),
        "space": space,
    }
    AgentCheckpoint(**made, environment=environment).save(folder)
    return str(folder)
