"""The on-disk dataset: written shard by shard, read lazily, with lineage; other formats in (S0) and out."""

from rig.data.codes import CodesCache, Encode
from rig.data.dataset import Dataset
from rig.data.exporters import EXPORTERS, Exporter, ExportReport, build_exporter
from rig.data.frame_store import FrameStore, load_frames
from rig.data.importers import (
    IMPORTERS,
    Importer,
    ImportReport,
    ImportSummary,
    Recording,
    RecordingImporter,
    build_importer,
    load_report,
)
from rig.data.manifest import DatasetInfo, Manifest, Parent
from rig.data.problems import Skipped
from rig.data.rows import SCHEMA
from rig.data.shards import Entry
from rig.data.summary import summary
from rig.data.writer import DatasetWriter, refuse_unstorable, refuse_unwritable

__all__ = [
    "EXPORTERS",
    "IMPORTERS",
    "SCHEMA",
    "CodesCache",
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Encode",
    "Entry",
    "ExportReport",
    "Exporter",
    "FrameStore",
    "ImportReport",
    "ImportSummary",
    "Importer",
    "Manifest",
    "Parent",
    "Recording",
    "RecordingImporter",
    "Skipped",
    "build_exporter",
    "build_importer",
    "load_frames",
    "load_report",
    "refuse_unstorable",
    "refuse_unwritable",
    "summary",
]
