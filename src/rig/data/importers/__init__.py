"""Stage S0's readers: other people's recordings become trajectories, a module for each format."""

from rig.data.importers.base import IMPORTERS, Importer, build_importer

__all__ = ["IMPORTERS", "Importer", "build_importer"]
