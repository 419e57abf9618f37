"""Agents from a hub, by the ids of their repositories: "owner/name"."""

from __future__ import annotations

from pathlib import Path

from rig.agents.checkpoint import AGENT_FILE
from rig.errors import CheckpointError, RigError
from rig.hub import PREFIX, HubName, fetched, hub_name

FILES = ("*.json", "*.safetensors", "README.md")
"""What an agent's folder holds; nothing else of a repository is fetched, or given to one."""


def agent_folder(agent: Path | str, revision: str | None = None) -> Path:
    """Return the folder of an agent: `agent` itself where there is such a folder, or what a hub has under that id.

    Args:
        agent: a folder, or "owner/name" or "owner/name@revision" of a repository, which is kept in huggingface_hub's
            cache; with "hf:" before it no folder is looked for.
        revision: a branch, a tag or a commit of the repository; None is its main branch.

    Raises:
        CheckpointError: there is neither such a folder nor such a repository, or the hub cannot be reached.
        RigError: two revisions are named.
        MissingDependencyError: huggingface_hub is not installed.
    """
    said = str(agent)
    name = hub_name(said)
    if name is None or (not said.startswith(PREFIX) and Path(agent).is_dir()):
        return Path(agent)
    if revision and name.revision not in (None, revision):
        raise RigError(f"{said!r} names a revision, and {revision!r} is another; give one")
    name = HubName(name.repository, name.revision or revision)
    else_ = "" if said.startswith(PREFIX) else f"there is no folder {said!r} here, and "
    found = fetched(name, FILES, error=CheckpointError, else_=else_)
    if not (found / AGENT_FILE).is_file():
        raise CheckpointError(
            f"the repository {name.repository!r} has no {AGENT_FILE}; it holds no agent of `rig publish`"
        )
    return found
