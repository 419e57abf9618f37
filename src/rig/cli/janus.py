"""Verbs that bring Janus checkpoints in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro


@dataclass(frozen=True, kw_only=True)
class ImportJanus:
    """Make a base of a Janus checkpoint, transformers' or DeepSeek's own: what `rig train --start` begins from.

    Example: rig import-janus downloads/Janus-1.3B --out runs/janus

    Attributes:
        source: folder of the checkpoint: config.json, safetensors and tokenizer.json.
        out: folder of the base.
    """

    source: Annotated[str, tyro.conf.Positional]
    out: str

    def run(self) -> dict[str, Any]:
        """Import."""
        from rig.janus import import_janus

        about = import_janus(self.source, self.out)
        text = (
            f"{self.out}: a base of {about['parameters'] / 1e6:,.1f} M parameters, from {self.source} in the layout of "
            f"{about['layout']}; train an agent with `rig train --start {self.out}`"
        )
        return {"text": text, "out": self.out, **about}


@dataclass(frozen=True, kw_only=True)
class ExportJanus:
    """Write an agent's network, or a base's, as a folder that transformers' Janus classes open.

    Example: rig export-janus runs/basic/agent --out runs/for-transformers

    Attributes:
        source: folder of the agent or the base.
        out: the new folder.
    """

    source: Annotated[str, tyro.conf.Positional]
    out: str

    def run(self) -> dict[str, Any]:
        """Export."""
        from rig.janus import export_janus

        written = export_janus(self.source, self.out)
        text = (
            f"{self.out}: {written['tensors']} tensors, {written['bytes'] / 1e6:,.1f} MB; "
            "JanusForConditionalGeneration.from_pretrained opens it"
        )
        return {"text": text, **written}
