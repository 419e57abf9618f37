"""Agents from a hub, by the ids of their repositories: "owner/name"."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rig.agents.checkpoint import AGENT_FILE
from rig.errors import CheckpointError
from rig.registry import require

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_FILES = ("*.json", "*.safetensors", "README.md")
"""What an agent's folder holds; nothing else of a repository is fetched."""


def agent_folder(agent: Path | str, revision: str | None = None) -> Path:
    """Return the folder of an agent: `agent` itself where there is such a folder, or what a hub has under that id.

    Args:
        agent: a folder, or "owner/name" of a repository, which is kept in huggingface_hub's cache.
        revision: a branch, a tag or a commit of the repository; None is its main branch.

    Raises:
        CheckpointError: there is neither such a folder nor such a repository, or the hub cannot be reached.
        MissingDependencyError: huggingface_hub is not installed.
    """
    if Path(agent).is_dir() or not _REPOSITORY.fullmatch(str(agent)):
        return Path(agent)
    hub: Any = require("huggingface_hub", "hub")
    errors: Any = require("huggingface_hub.errors", "hub")
    try:
        found = hub.snapshot_download(str(agent), revision=revision, allow_patterns=list(_FILES))
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(f"{_neither(agent)}; check the name, or log in where it is private") from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"the repository {agent!r} has no revision {revision!r}") from error
    except (OSError, ValueError, errors.HfHubHTTPError) as error:  # not reached, refused, or nothing is in the cache
        raise CheckpointError(
            f"there is no folder {agent!r} here, and the repository of that name cannot be fetched "
            f"({str(error).splitlines()[0][:200]}); connect to the hub once, or name a folder"
        ) from error
    if not (Path(found) / AGENT_FILE).is_file():
        raise CheckpointError(f"the repository {agent!r} has no {AGENT_FILE}; it holds no agent of `rig publish`")
    return Path(found)


def _neither(agent: Path | str) -> str:
    return f"there is no folder {str(agent)!r} here, and no repository of that name on the hub"
