"""The on-disk dataset: written shard by shard, read lazily, with lineage; importers of other formats (stage S0)."""

from rig.data.codes import CodesCache, Encode
from rig.data.dataset import Dataset
from rig.data.frame_store import FrameStore, load_frames
from rig.data.importers import IMPORTERS, Importer, build_importer
from rig.data.manifest import DatasetInfo, Manifest, Parent
from rig.data.problems import Skipped
from rig.data.rows import SCHEMA
from rig.data.shards import Entry
from rig.data.summary import summary
from rig.data.writer import DatasetWriter, refuse_unstorable, refuse_unwritable

__all__ = [
    "IMPORTERS",
    "SCHEMA",
    "CodesCache",
    "Dataset",
    "DatasetInfo",
    "DatasetWriter",
    "Encode",
    "Entry",
    "FrameStore",
    "Importer",
    "Manifest",
    "Parent",
    "Skipped",
    "build_importer",
    "load_frames",
    "refuse_unstorable",
    "refuse_unwritable",
    "summary",
]
