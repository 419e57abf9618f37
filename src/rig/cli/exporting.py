"""The verb that writes datasets in the formats of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rig.cli.flags import Settings

if TYPE_CHECKING:
    from rig.data import ExportReport


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a dataset in a format of others, and say what that loses.

    Example: rig export --dataset runs/s2 --format lerobot --out runs/lerobot

    Attributes:
        dataset: folder of the dataset.
        format: name of the exporter.
        out: the new folder, which is there whole or not at all.
        exporter_config: the exporter's own configuration: a JSON file, or its fields as name=value, or both.
        overwrite: replace a folder that is there.
    """

    dataset: str
    out: str
    format: str = "lerobot"
    exporter_config: Settings = field(default_factory=dict)
    overwrite: bool = False

    def run(self) -> dict[str, Any]:
        """Export."""
        from rig.data import Dataset, build_exporter

        exporter = build_exporter(self.format, self.exporter_config)
        report = exporter.export(Dataset(self.dataset), Path(self.out), overwrite=self.overwrite)
        return {"text": "\n".join([_told(report, self.out), *_lost(report)]), "out": self.out, **asdict(report)}


def _told(report: ExportReport, out: str) -> str:
    pictures = f" and {report.pictures} pictures beside them" if report.pictures else ""
    parts = f"{report.trajectories} trajectories, {report.steps} steps{pictures}"
    return f"exported {parts} to {out}: {report.bytes / 2**20:.1f} MB"


def _lost(report: ExportReport) -> list[str]:
    """Return lines about what the pictures lost, and about what was left out."""
    lines = [f"{name}: {_told_loss(loss)}" for name, loss in report.loss.items()]
    return [*lines, *(f"left out: {count} {what}" for what, count in report.left_out.items())]


def _told_loss(loss: Mapping[str, Any]) -> str:
    psnr = loss["psnr"]
    if psnr is None:
        return f"all {loss['frames']} come back as they were"
    told = f"PSNR {psnr['mean']:g} dB on average and {psnr['lowest']:g} at the lowest"
    return f"{told}, of {loss['frames']}" + (f"; {loss['exact']} come back as they were" if loss["exact"] else "")
