"""Verbs that give away what was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rig.errors import RigError
from rig.storage import bytes_of, refuse_existing


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Copy an agent to a folder to give away, with a card: what it is, how it was made, what it scored, how it is used.

    The folder is what a hub takes. With --push it is given to one, as whom huggingface_hub knows (`hf auth login`, or
    HF_TOKEN); nothing is sent otherwise.

    Example: rig publish --agent runs/rig/agent --results runs/eval-rig --title "My agent" --out published/rig

    Attributes:
        agent: folder of the agent.
        out: the new folder.
        title: of the card; the repository's name, or the agent's, where empty.
        made_by: the documented command that leads to the agent; none where empty.
        results: folders of `rig eval` and `rig imagine`, of this agent.
        dtype: of the copy: float32, or bfloat16 for half the size.
        repo_id: of the repository on a hub, "owner/name", for the card and for --push.
        license: as hubs spell it.
        datasets: repositories, on a hub, of what it was trained on, for the card.
        push: give the folder to the hub, as a commit of --repo-id.
        private: nobody else sees the repository, where --push makes it.
    """

    agent: str
    out: str
    title: str = ""
    results: tuple[str, ...] = ()
    made_by: str = ""
    dtype: Literal["float32", "bfloat16"] = "float32"
    repo_id: str = ""
    license: str = "apache-2.0"
    datasets: tuple[str, ...] = ()
    push: bool = False
    private: bool = False

    def run(self) -> dict[str, Any]:
        """Publish."""
        from rig.agents.actors import short_name
        from rig.hub import check_push, push
        from rig.recipes.publish import publish

        refuse_existing(Path(self.out), "choose another folder with --out")
        if self.push:
            check_push(self.repo_id)
        elif self.private:
            raise RigError("--private is of the repository that --push makes; give both")
        card = publish(
            Path(self.agent),
            Path(self.out),
            title=self.title or self.repo_id.partition("/")[2] or short_name(self.agent),
            made_by=self.made_by,
            results=[Path(folder) for folder in self.results],
            dtype=self.dtype,
            repository=self.repo_id,
            licence=self.license,
            datasets=self.datasets,
        )
        size = bytes_of(card.parent)
        told: dict[str, Any] = {"text": f"{card}: {size / 1e6:.1f} MB", "card": str(card), "bytes": size}
        if self.push:
            commit = push(card.parent, self.repo_id, private=self.private)
            told |= {"text": f'{told["text"]}; rig.load_agent("{self.repo_id}@{commit}") loads it', "commit": commit}
        return told


@dataclass(frozen=True, kw_only=True)
class Card:
    """Write a card (README.md) into a dataset's folder: what it holds, how it was made, how it is read, whose frames.

    Its files are compared with their hashes first.

    Example: rig card --data runs/s1 --title "The expert's play"

    Attributes:
        data: folder of the dataset.
        title: of the card.
    """

    data: str
    title: str

    def run(self) -> dict[str, Any]:
        """Write the card."""
        from rig.recipes.dataset_card import write_dataset_card

        card = write_dataset_card(Path(self.data), self.title)
        return {"text": str(card), "card": str(card)}
