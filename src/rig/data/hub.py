"""Datasets from a hub, by the ids of their repositories: "hf:owner/name"."""

from __future__ import annotations

from pathlib import Path

from rig.data.manifest import FILE_NAME, REPORT_LINES_NAME, REPORT_NAME, SHARD_FOLDER
from rig.errors import DatasetError
from rig.hub import PREFIX, fetched, hub_name

FILES = (FILE_NAME, f"{SHARD_FOLDER}/*.parquet", REPORT_NAME, REPORT_LINES_NAME, "README.md")
"""What a dataset's folder holds; its caches, which are made anew, are not fetched."""


def dataset_folder(dataset: Path | str) -> Path:
    """Return the folder of a dataset: `dataset` itself, or for "hf:owner/name" what a hub has under that id.

    Args:
        dataset: a folder, or a repository as "hf:owner/name" or "hf:owner/name@revision", which is kept in
            huggingface_hub's cache.

    Raises:
        DatasetError: there is no such repository, it holds no dataset, or the hub cannot be reached.
        RigError: "hf:" stands before what is no repository's id.
        MissingDependencyError: huggingface_hub is not installed.
    """
    name = hub_name(str(dataset)) if str(dataset).startswith(PREFIX) else None
    if name is None:
        return Path(dataset)
    found = fetched(name, FILES, kind="dataset", error=DatasetError)
    if not (found / FILE_NAME).is_file():
        raise DatasetError(f"the repository {name.repository!r} has no {FILE_NAME}; it holds no dataset of `rig`")
    return found
