"""What an exporter is: it writes a dataset of ours in the format of others, and says what that format cannot hold.

It is found by name in `EXPORTERS`, where other packages add theirs through the entry point group `rig.exporters`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from rig.annotators.configured import config_from
from rig.data.dataset import Dataset
from rig.errors import RigError
from rig.registry import NoConfig, Registry
from rig.validation import shown


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was written, and what was not.

    Attributes:
        trajectories: how many were written.
        steps: of theirs.
        pictures: frames beside those that steps observe: dreams, and what really came.
        bytes: of all files.
        loss: by what was written, what pictures lost: JSON-able; empty where nothing can be lost.
        left_out: what the format cannot hold, in words, and how often; empty where it holds all.
    """

    trajectories: int
    steps: int
    pictures: int = 0
    bytes: int = 0
    loss: Mapping[str, Any] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)


class Exporter(ABC):
    """Writes one format; made from its own configuration.

    Args:
        config: what a user chose: a `Config`.

    Attributes:
        name: what it is called.
        Config: a frozen, keyword-only dataclass of what can be chosen, with types and bounds at its fields.
    """

    name: ClassVar[str]
    Config: ClassVar[type] = NoConfig

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def export(self, dataset: Dataset, out: Path, *, overwrite: bool = False) -> ExportReport:
        """Write all of `dataset` into the folder `out`, which is there whole or not at all.

        Args:
            dataset: what is written, an episode at a time.
            out: the folder.
            overwrite: replace a folder that is there.

        Raises:
            RigError: it is there and `overwrite` is not given, or something cannot be written.
        """


EXPORTERS: Registry[type[Exporter]] = Registry("exporter", "rig.exporters")
EXPORTERS.add("lerobot", "rig.data.exporters.lerobot:LeRobotExporter")


def build_exporter(name: str, config: Mapping[str, Any] | None = None) -> Exporter:
    """Return the exporter called `name`, made from what a user gave as its configuration.

    Raises:
        UnknownNameError: there is none of that name.
        RigError: a field of the configuration is unknown, lacking, of another type or out of its range; or what is
            registered is no `Exporter` with a dataclass as its `Config`.
    """
    kind = EXPORTERS.get(name)
    if not (isinstance(kind, type) and issubclass(kind, Exporter)):
        raise RigError(
            f"the exporter {name!r} is {shown(kind)}; have it be a class that inherits from rig.data.Exporter"
        )
    return kind(config_from(dict(config or {}), kind.Config, f"the exporter {name!r}"))
