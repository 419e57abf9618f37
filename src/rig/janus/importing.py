"""A Janus checkpoint, in transformers' layout or DeepSeek's, as a base that training begins from.

Names change and fused tensors are parted by where they lie in the file, so weights are only copied: whatever the size
of the checkpoint, a few megabytes of it are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rig.agents.checkpoint import BASE_FILE, check_vocabulary
from rig.dialogue import TextTokenizer
from rig.errors import CheckpointError
from rig.janus.deepseek import rename, translate
from rig.model.checkpoint import CONFIG_FILE, check_depth, check_tensors, expected_shapes, read_config_data
from rig.model.config import RIGConfig
from rig.model.config_json import DEEPSEEK_TYPE, config_from_json, config_to_json
from rig.model.weights import WEIGHTS_FILE, StoredTensor, copy_tensors, find_tensors, weights_file
from rig.provenance import provenance
from rig.storage import atomic_folder, write_json
from rig.validation import load_json

_HEAD, _EMBEDDING = "lm_head.weight", "model.language_model.embed_tokens.weight"
_SCALED_BY = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class JanusCheckpoint:
    """A checkpoint as it was found, told in transformers' names.

    Attributes:
        layout: "transformers" or "deepseek".
        config: the network's sizes.
        tensors: its weights, where they lie.
        tokenizer: its text tokenizer.
    """

    layout: str
    config: RIGConfig
    tensors: Mapping[str, StoredTensor]
    tokenizer: TextTokenizer


def import_janus(source: Path | str, out: Path | str) -> dict[str, Any]:
    """Write the Janus checkpoint in the folder `source` as a base into the new folder `out`; return what was read.

    Raises:
        CheckpointError: a file is missing, cut, pickled, foreign, or does not belong to the others.
        RigError: `out` exists, or the disk is full.
    """
    found = examine(Path(source))
    about = {
        "layout": found.layout,
        "source": str(source),
        "parameters": sum(stored.count for stored in found.tensors.values()),
        "dtypes": dict(Counter(stored.dtype for stored in found.tensors.values())),
        "provenance": provenance(),
    }
    with atomic_folder(Path(out)) as folder:
        write_json(folder / CONFIG_FILE, config_to_json(found.config))
        copy_tensors(found.tensors, folder / WEIGHTS_FILE)
        found.tokenizer.save(folder)
        write_json(folder / BASE_FILE, about)
    return about


def examine(folder: Path) -> JanusCheckpoint:
    """Return the checkpoint in `folder`, after checking that its files belong together.

    Raises:
        CheckpointError: they do not, or one is missing, cut, pickled or foreign.
    """
    data, where = read_config_data(folder), str(folder / CONFIG_FILE)
    is_original = isinstance(data, Mapping) and data.get("model_type") == DEEPSEEK_TYPE
    config = config_from_json(translate(data, where) if is_original else data, where)
    found = find_tensors(folder)
    tensors = rename(found) if is_original else _untied(found, data)
    check_depth(weights_file(folder), config, tensors)
    check_tensors(weights_file(folder), expected_shapes(config), tensors)
    _check_pixels(folder)
    tokenizer = TextTokenizer.load(folder)
    check_vocabulary(folder, tokenizer, config)
    layout = "deepseek" if is_original else "transformers"
    return JanusCheckpoint(layout=layout, config=config, tensors=tensors, tokenizer=tokenizer)


def _untied(found: dict[str, StoredTensor], data: Mapping[str, Any]) -> dict[str, StoredTensor]:
    """Return the tensors with the text head, which transformers leaves out where it is tied to the embedding."""
    if _HEAD in found or _EMBEDDING not in found or not data.get("tie_word_embeddings", True):
        return found
    return {**found, _HEAD: found[_EMBEDDING]}


def _check_pixels(folder: Path) -> None:
    """Refuse a checkpoint whose own processor does not bring pixels to -1 ... 1, as this network does."""
    for name, key in (("preprocessor_config.json", None), ("processor_config.json", "image_processor")):
        path = folder / name
        data = load_json(path, "fetch it again", CheckpointError) if path.is_file() else {}
        section = data.get(key) or {} if key else data
        if not isinstance(section, dict):
            raise CheckpointError(f"{path}: {key} is a {type(section).__name__}, not an object; fetch it again")
        for field in ("image_mean", "image_std"):
            values = section.get(field)
            if values is not None and values != [_SCALED_BY] * 3:
                raise CheckpointError(f"{path}: {field} is {values}; this network has {[_SCALED_BY] * 3} built in")
