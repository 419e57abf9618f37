"""Stage S0's readers: other people's recordings become trajectories, a module for each format."""

from rig.data.importers.base import IMPORTERS, Importer, Recording, RecordingImporter, build_importer
from rig.data.importers.report import ImportReport, ImportSummary, load_report

__all__ = [
    "IMPORTERS",
    "ImportReport",
    "ImportSummary",
    "Importer",
    "Recording",
    "RecordingImporter",
    "build_importer",
    "load_report",
]
