"""What lies on a hub, huggingface.co or where HF_ENDPOINT leads, by the ids of its repositories: fetched, and given.

Whatever is fetched is kept in huggingface_hub's cache, and is opened from there without the hub. Who one is on a hub is
that library's to know (HF_TOKEN, or `hf auth login`): no token passes through here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rig.errors import RigError
from rig.registry import require

PREFIX = "hf:"
"""Before an id where a folder may be named as well."""

Kind = Literal["model", "dataset"]

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]*", re.ASCII)
_SNAPSHOT = re.compile(r"(?:model|dataset)s--([^/]+?)--([^/]+)/snapshots/(\w+)")


class HubName(NamedTuple):
    """A repository, and a branch, a tag or a commit of it; None is its main branch."""

    repository: str
    revision: str | None = None


def hub_name(name: str) -> HubName | None:
    """Return what "owner/name" and "owner/name@revision" name, with `PREFIX` or without; None where it is neither.

    Raises:
        RigError: it has the prefix, and is neither.
    """
    repository, pinned, revision = name.removeprefix(PREFIX).partition("@")
    if _REPOSITORY.fullmatch(repository) and (not pinned or _REVISION.fullmatch(revision)):
        return HubName(repository, revision or None)
    if name.startswith(PREFIX):
        raise RigError(f"{name!r} names no repository; it is {PREFIX}owner/name, or {PREFIX}owner/name@revision")
    return None


def fetched(
    name: HubName, files: Sequence[str], *, kind: Kind = "model", error: type[RigError] = RigError, else_: str = ""
) -> Path:
    """Return the folder, in huggingface_hub's cache, of a repository's files of the patterns `files`.

    Args:
        name: the repository and its revision.
        files: what is fetched; nothing else is.
        kind: what it holds.
        error: what is raised.
        else_: what else the user may have meant, as the beginning of a message; nothing where empty.

    Raises:
        RigError: there is no such repository or revision, one must ask for access first, or it cannot be fetched.
        MissingDependencyError: huggingface_hub is not installed.
    """
    hub: Any = require("huggingface_hub", "hub")
    errors: Any = require("huggingface_hub.errors", "hub")
    repository, revision = name
    try:
        return Path(hub.snapshot_download(repository, revision=revision, repo_type=kind, allow_patterns=list(files)))
    except errors.GatedRepoError as refused:
        raise error(
            f"the repository {repository!r} is gated; ask for access on its page, and log in (`hf auth login`) or set "
            "HF_TOKEN"
        ) from refused
    except errors.RepositoryNotFoundError as missing:
        told = f"{else_}no repository of that name" if else_ else f"there is no repository {repository!r}"
        raise error(f"{told} on the hub; check the name, or log in where it is private") from missing
    except errors.RevisionNotFoundError as missing:
        raise error(f"the repository {repository!r} has no revision {revision!r}") from missing
    except Exception as failed:  # not reached, cut short, refused, or nothing is in the cache; by any of its libraries
        told = f"{else_}the repository of that name" if else_ else f"the repository {repository!r}"
        raise error(
            f"{told} cannot be fetched ({_line(failed)}); connect to the hub once, or name a folder"
        ) from failed


def check_push(repository: str) -> None:
    """Refuse what cannot be given to a hub, before any work.

    Raises:
        RigError: this is no repository's id, or nobody is logged in.
        MissingDependencyError: huggingface_hub is not installed.
    """
    hub: Any = require("huggingface_hub", "hub")
    if not _REPOSITORY.fullmatch(repository):
        raise RigError(f"{repository!r} is no repository's id; it is owner/name")
    if not hub.get_token():
        raise RigError("nobody is logged in to the hub: `hf auth login`, or set HF_TOKEN to a token that may write")


def push(folder: Path, repository: str, *, kind: Kind = "model", private: bool = False) -> str:
    """Give a folder to a hub, as one commit of the main branch of a repository that is made where it is not there.

    Returns:
        The commit.

    Raises:
        RigError: as `check_push`, or the hub refuses, or cannot be reached.
    """
    check_push(repository)
    hub: Any = require("huggingface_hub", "hub")
    try:
        api = hub.HfApi()
        api.create_repo(repository, repo_type=kind, private=private or None, exist_ok=True)
        made = api.upload_folder(
            repo_id=repository, folder_path=str(folder), repo_type=kind, commit_message="rig publish"
        )
    except Exception as failed:  # by any of the library's own libraries
        raise RigError(f"{folder} was not given to {repository!r}: {_line(failed)}") from failed
    return str(made.oid)


def repository_of(folder: Path | str) -> HubName | None:
    """Return where a folder in huggingface_hub's cache was fetched from, with its commit; None for any other folder."""
    found = _SNAPSHOT.search(Path(folder).absolute().as_posix())
    return HubName(f"{found[1]}/{found[2]}", found[3]) if found else None


def _line(error: BaseException) -> str:
    """Return what went wrong in a line: the cause, where the error itself tells of none."""
    told = str(error).strip() or str(error.__cause__ or type(error).__name__)
    return " ".join(told.split())[:200]
