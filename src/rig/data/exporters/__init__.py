"""Datasets of ours in the formats of others, a module for each."""

from rig.data.exporters.base import EXPORTERS, Exporter, ExportReport, build_exporter

__all__ = ["EXPORTERS", "ExportReport", "Exporter", "build_exporter"]
