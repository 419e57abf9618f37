"""An agent, a base or any other Janus of ours as a folder that transformers opens.

`JanusForConditionalGeneration.from_pretrained` reads its weights with no name missing or left over, and
`JanusProcessor.from_pretrained` its tokenizer and its way with images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rig.agents.checkpoint import check_vocabulary
from rig.dialogue import TextTokenizer
from rig.dialogue.tokenizer import BEGIN_IMAGE, BOS, END_IMAGE, EOS, IMAGE, PAD
from rig.errors import CheckpointError
from rig.model.checkpoint import CONFIG_FILE, check_tensors, expected_shapes, read_config
from rig.model.config import RIGConfig
from rig.model.config_json import config_to_json
from rig.model.weights import FLOATS, WEIGHTS_FILE, StoredTensor, copy_tensors, find_tensors, weights_file
from rig.storage import atomic_folder, write_json

_MEAN = [0.5, 0.5, 0.5]
_BICUBIC = 3


def export_janus(source: Path | str, out: Path | str) -> dict[str, Any]:
    """Write the network and the tokenizer of the folder `source` into the new folder `out`; return what was written.

    Raises:
        CheckpointError: Janus has no way to say what this network is, or `source` is not whole.
        RigError: `out` exists, or the disk is full.
    """
    source = Path(source)
    config, tokenizer = read_config(source), TextTokenizer.load(source)
    if reasons := inexpressible(config):
        raise CheckpointError(f"{source} is no Janus that transformers could open: {'; '.join(reasons)}")
    check_vocabulary(source, tokenizer, config)
    tensors = find_tensors(source)
    check_tensors(weights_file(source), expected_shapes(config), tensors)
    with atomic_folder(Path(out)) as folder:
        for name, content in _files(config, tokenizer, _main_type(tensors)).items():
            write_json(folder / name, content)
        tokenizer.save(folder)
        copy_tensors(tensors, folder / WEIGHTS_FILE)
    return {"out": str(out), "tensors": len(tensors), "bytes": sum(stored.size for stored in tensors.values())}


def inexpressible(config: RIGConfig) -> list[str]:
    """Return what of a configuration transformers' Janus has no field for; nothing where it can be exported."""
    vq, vision = config.vq, config.vision
    patches = vision.image_size // vision.patch_size
    checks = (
        (bool(vision.stem), f"its tower sees patches through convolutions of {list(vision.stem)} channels (stem)"),
        (
            vq.space_to_depth != 1,
            f"its VQ tokenizer folds blocks of {vq.space_to_depth} pixels (space_to_depth), not 1",
        ),
        (vq.kernel_size != 3, f"its VQ tokenizer has kernels of {vq.kernel_size} (kernel_size), not 3"),
        (vq.norm_groups != 32, f"its VQ tokenizer normalises in {vq.norm_groups} groups (norm_groups), not 32"),
        (vq.grid != patches, f"it reads {patches}×{patches} patches and writes {vq.grid}×{vq.grid} codes, not as many"),
        (config.image_alignment != 1, f"its images begin at multiples of {config.image_alignment} (image_alignment)"),
        (
            config.image_stride != 1,
            f"each token of its images predicts {config.image_stride} codes ahead (image_stride)",
        ),
    )
    return [reason for is_so, reason in checks if is_so]


def _files(config: RIGConfig, tokenizer: TextTokenizer, dtype: str) -> dict[str, Mapping[str, Any]]:
    """Return the JSON files of the folder by their names."""
    ids = {"bos_token_id": tokenizer.bos, "eos_token_id": tokenizer.eos, "pad_token_id": tokenizer.pad}
    sizes = {name: value for name, value in config_to_json(config).items() if name != "rig"}
    images = _image_processor(config.vision.image_size)
    tokens = {"processor_class": "JanusProcessor", "num_image_tokens": config.vision.num_tokens}
    return {
        CONFIG_FILE: {
            **sizes,
            "text_config": {**sizes["text_config"], **ids},
            "image_token_id": tokenizer.image,
            "dtype": dtype,
        },
        "generation_config.json": {**ids, "generation_kwargs": {"boi_token_id": tokenizer.begin_image}},
        "preprocessor_config.json": {**images, "processor_class": "JanusProcessor"},
        "processor_config.json": {**tokens, "image_processor": images},
        "tokenizer_config.json": _tokenizer_config(config),
        "special_tokens_map.json": {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD},
    }


def _image_processor(size: int) -> dict[str, Any]:
    """Return the settings with which transformers' image processor does what `rig.model.fit_frame` does."""
    return {
        "image_processor_type": "JanusImageProcessor",
        "do_resize": True,
        "do_pad": True,
        "do_rescale": True,
        "do_normalize": True,
        "size": {"height": size, "width": size},
        "min_size": 14,
        "resample": _BICUBIC,
        "rescale_factor": 1 / 255,
        "image_mean": _MEAN,
        "image_std": _MEAN,
    }


def _tokenizer_config(config: RIGConfig) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "JanusProcessor",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "extra_special_tokens": {"image_token": IMAGE, "boi_token": BEGIN_IMAGE, "eoi_token": END_IMAGE},
        "model_max_length": config.decoder.max_positions,
        "clean_up_tokenization_spaces": False,
    }


def _main_type(tensors: Mapping[str, StoredTensor]) -> str:
    """Return the name that transformers has for the type of most of the tensors."""
    (kind, _), *_ = Counter(stored.dtype for stored in tensors.values()).most_common()
    return FLOATS[kind]
