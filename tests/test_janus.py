"""Janus checkpoints come in, are trained, and go out again as they were; a broken one is named before anything is."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from janus_makers import DEEPSEEK_CONFIG, TOWER, VQ, gapped_tokenizer, janus, save_deepseek, save_janus
from safetensors.torch import load_file, save_file
from test_cli import mistake, result

from rig.agents.checkpoint import AgentCheckpoint, load_network
from rig.data import Dataset
from rig.dialogue import train_bpe
from rig.errors import CheckpointError, RigError
from rig.janus import deepseek, export_janus, import_janus, inexpressible
from rig.model import PRESETS, RIG, fit_frame, frames_to_pixels, load, load_vq, save
from rig.model.checkpoint import expected_shapes
from rig.model.config_json import config_from_json
from rig.model.weights import StoredTensor
from rig.train import Tokenizers

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

IDS = torch.arange(24)[None]


@pytest.fixture(scope="module")
def oracle():
    return janus()


@pytest.fixture(scope="module")
def kept(oracle, tmp_path_factory):
    """The checkpoint in transformers' layout and the base made of it; nobody changes them."""
    root = tmp_path_factory.mktemp("janus")
    import_janus(save_janus(oracle, root / "theirs"), root / "base")
    return root


@pytest.fixture
def theirs(kept, tmp_path):
    return Path(shutil.copytree(kept / "theirs", tmp_path / "theirs"))


@pytest.fixture
def tiny_parts(monkeypatch):
    """Let DeepSeek's configuration name parts that are small."""
    monkeypatch.setitem(deepseek.TOWERS, "siglip_tiny", TOWER)
    monkeypatch.setitem(deepseek.TOKENIZERS, "VQ-tiny", VQ)


@pytest.fixture
def original(oracle, tiny_parts, tmp_path):
    return save_deepseek(oracle, tmp_path / "deepseek")


def check_same(model, oracle):
    """The model holds the oracle's weights, and gives its logits."""
    expected = oracle.state_dict()
    assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    check_logits(model, oracle)


@torch.no_grad()
def check_logits(model, oracle):
    embedded = model.embed_text(IDS[0])
    causal = torch.nn.functional.scaled_dot_product_attention

    def attend(q, k, v):
        return causal(q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), is_causal=True).transpose(0, 1)

    found = model.text_logits(model.model.language_model(embedded, IDS[0], attend))
    torch.testing.assert_close(found, oracle(input_ids=IDS).logits[0], rtol=1e-4, atol=1e-4)


# In


def test_transformers_layout_becomes_a_base(kept, oracle):
    model, tokenizer = load_network(kept / "base")
    check_same(model, oracle)
    assert model.config.image_alignment == 1
    assert model.config.layout.read_tokens == model.config.layout.write_tokens == 16
    assert tokenizer.pieces == gapped_tokenizer().pieces
    assert sorted(path.name for path in (kept / "base").iterdir()) == [
        "base.json",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    about = json.loads((kept / "base" / "base.json").read_text())
    assert about["parameters"] == sum(value.numel() for value in oracle.state_dict().values())
    assert about["dtypes"] == {"F32": len(oracle.state_dict())}


def test_shards_are_read_in_place_and_put_together(oracle, tmp_path):
    folder = save_janus(oracle, tmp_path / "sharded", max_shard_size="200KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 3
    assert not (folder / "model.safetensors").exists()
    check_same(load(folder), oracle)
    import_janus(folder, tmp_path / "base")
    check_same(load(tmp_path / "base"), oracle)


def test_a_tied_text_head_is_written_out(tmp_path):
    tied = janus(tie_word_embeddings=True)
    folder = save_janus(tied, tmp_path / "tied")
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    import_janus(folder, tmp_path / "base")
    check_same(load(tmp_path / "base"), tied)


def test_half_precision_stays_as_it_is(oracle, tmp_path):
    half = janus().to(torch.bfloat16)
    import_janus(save_janus(half, tmp_path / "half"), tmp_path / "base")
    expected = half.state_dict()
    model = load(tmp_path / "base")
    assert model.dtype == torch.bfloat16
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert load_vq(tmp_path / "base", dtype=torch.float32).quant_conv.weight.dtype == torch.float32


def test_deepseeks_layout_becomes_the_same_base(kept, original, oracle, tmp_path):
    assert import_janus(original, tmp_path / "base")["layout"] == "deepseek"
    check_same(load(tmp_path / "base"), oracle)
    assert (tmp_path / "base" / "config.json").read_text() == (kept / "base" / "config.json").read_text()


def test_deepseeks_layout_in_shards(original, oracle, tmp_path):
    tensors = load_file(original / "model.safetensors")
    parts = [dict(list(tensors.items())[start::2]) for start in (0, 1)]
    for number, part in enumerate(parts):
        save_file(part, original / f"model-{number}.safetensors")
    places = {name: f"model-{number}.safetensors" for number, part in enumerate(parts) for name in part}
    (original / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (original / "model.safetensors").unlink()
    import_janus(original, tmp_path / "base")
    check_same(load(tmp_path / "base"), oracle)


def deepseek_shapes():
    """Every tensor of Janus-1.3B in its own repository's names, written down from its modules."""
    width, tower = 2048, 1024
    yield from {"gen_embed.weight": (16384, 8), "language_model.lm_head.weight": (102400, width)}.items()
    yield "language_model.model.embed_tokens.weight", (102400, width)
    yield "language_model.model.norm.weight", (width,)
    for layer in range(24):
        block = f"language_model.model.layers.{layer}"
        yield from ((f"{block}.self_attn.{part}_proj.weight", (width, width)) for part in "qkvo")
        yield from ((f"{block}.mlp.{part}_proj.weight", (5632, width)) for part in ("gate", "up"))
        yield f"{block}.mlp.down_proj.weight", (width, 5632)
        yield from ((f"{block}.{part}_layernorm.weight", (width,)) for part in ("input", "post_attention"))
    yield from linear("aligner.layers.0", tower, width)
    yield from linear("aligner.layers.2", width, width)
    yield from linear("gen_aligner.layers.0", 8, width)
    yield from linear("gen_aligner.layers.2", width, width)
    yield from linear("gen_head.output_mlp_projector", width, width)
    yield from linear("gen_head.vision_head", width, 16384)
    vision = "vision_model.vision_tower"
    yield f"{vision}.pos_embed", (1, 576, tower)
    yield f"{vision}.patch_embed.proj.weight", (tower, 3, 16, 16)
    yield from norm(f"{vision}.norm", tower)
    yield f"{vision}.patch_embed.proj.bias", (tower,)
    for layer in range(24):
        block = f"{vision}.blocks.{layer}"
        yield from linear(f"{block}.attn.qkv", tower, 3 * tower)
        yield from linear(f"{block}.attn.proj", tower, tower)
        yield from linear(f"{block}.mlp.fc1", tower, 4 * tower)
        yield from linear(f"{block}.mlp.fc2", 4 * tower, tower)
        yield from (*norm(f"{block}.norm1", tower), *norm(f"{block}.norm2", tower))
    yield f"{vision}.attn_pool.latent", (1, 1, tower)
    yield from linear(f"{vision}.attn_pool.q", tower, tower)
    yield from linear(f"{vision}.attn_pool.kv", tower, 2 * tower)
    yield from linear(f"{vision}.attn_pool.proj", tower, tower)
    yield from linear(f"{vision}.attn_pool.mlp.fc1", tower, 4 * tower)
    yield from linear(f"{vision}.attn_pool.mlp.fc2", 4 * tower, tower)
    yield from norm(f"{vision}.attn_pool.norm", tower)
    yield from tokenizer_shapes("gen_vision_model")


def tokenizer_shapes(vq):
    levels = (128, 128, 256, 256, 512)
    yield f"{vq}.quantize.embedding.weight", (16384, 8)
    yield f"{vq}.quantize.codebook_used", (65536,)
    yield from (*conv(f"{vq}.quant_conv", 256, 8, 1), *conv(f"{vq}.post_quant_conv", 8, 256, 1))
    yield from (*conv(f"{vq}.encoder.conv_in", 3, 128), *conv(f"{vq}.encoder.conv_out", 512, 256))
    yield from (*conv(f"{vq}.decoder.conv_in", 256, 512), *conv(f"{vq}.decoder.conv_out", 128, 3))
    yield from (*norm(f"{vq}.encoder.norm_out", 512), *norm(f"{vq}.decoder.norm_out", 128))
    for side, widths, blocks, way in (("encoder", levels, 2, "downsample"), ("decoder", levels[::-1], 3, "upsample")):
        yield from (*block(f"{vq}.{side}.mid.0", 512, 512), *block(f"{vq}.{side}.mid.2", 512, 512))
        yield from attention(f"{vq}.{side}.mid.1")
        before = 128 if side == "encoder" else 512
        for level, width in enumerate(widths):
            for number in range(blocks):
                yield from block(f"{vq}.{side}.conv_blocks.{level}.res.{number}", before, width)
                before = width
                if level == (4 if side == "encoder" else 0):
                    yield from attention(f"{vq}.{side}.conv_blocks.{level}.attn.{number}")
            if level < 4:
                yield from conv(f"{vq}.{side}.conv_blocks.{level}.{way}.conv", width, width)


def linear(name, inputs, outputs):
    return (f"{name}.weight", (outputs, inputs)), (f"{name}.bias", (outputs,))


def norm(name, width):
    return (f"{name}.weight", (width,)), (f"{name}.bias", (width,))


def conv(name, inputs, outputs, kernel=3):
    return (f"{name}.weight", (outputs, inputs, kernel, kernel)), (f"{name}.bias", (outputs,))


def block(name, inputs, outputs):
    yield from (*norm(f"{name}.norm1", inputs), *conv(f"{name}.conv1", inputs, outputs))
    yield from (*norm(f"{name}.norm2", outputs), *conv(f"{name}.conv2", outputs, outputs))
    if inputs != outputs:
        yield from conv(f"{name}.nin_shortcut", inputs, outputs, 1)


def attention(name):
    yield from norm(f"{name}.norm", 512)
    for part in ("q", "k", "v", "proj_out"):
        yield from conv(f"{name}.{part}", 512, 512, 1)


def test_every_name_and_shape_of_the_published_checkpoint_is_known():
    shapes = dict(deepseek_shapes())
    frozen = [name for name in shapes if name.startswith(("vision_model.", "gen_vision_model."))]
    assert len(frozen) == 649 + 1, "what is known of a published Janus: 649 frozen parameters, and codebook_used"
    size = 2 * sum(int(np.prod(shape)) for shape in shapes.values())
    assert size == pytest.approx(4.178e9, rel=1e-3), "and the size of its file"
    stored = {name: StoredTensor(path=Path("x"), dtype="BF16", shape=shape, start=0) for name, shape in shapes.items()}
    renamed = {name: value.shape for name, value in deepseek.rename(stored).items()}
    assert renamed == expected_shapes(PRESETS.get("janus-1b"))


def test_the_published_configuration_is_that_of_the_preset():
    published = json.loads(json.dumps(DEEPSEEK_CONFIG))
    published["vision_config"]["params"] |= {"image_size": 384, "model_name": "siglip_large_patch16_384"}
    published["gen_vision_config"] |= {"cls": "VQ-16", "params": {"image_token_size": 16384, "n_embed": 8}}
    published["language_config"] = {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "max_position_embeddings": 16384,
        "model_type": "llama",
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "num_key_value_heads": 16,
        "vocab_size": 102400,
    }
    assert config_from_json(deepseek.translate(published, "config.json")) == PRESETS.get("janus-1b")


# What cannot come in


def edit_config(change):
    def harm(folder):
        data = json.loads((folder / "config.json").read_text())
        change(data)
        (folder / "config.json").write_text(json.dumps(data))

    return harm


def edit_weights(change):
    def harm(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return harm


def cut(name, keep=-1000):
    def harm(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:keep])

    return harm


def only_a_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def another_tokenizer(size, without=""):
    def harm(folder):
        train_bpe([], vocabulary_size=size, atoms=[f"a{n}" for n in range(size - 262)]).save(folder)
        text = (folder / "tokenizer.json").read_text()
        if without:
            (folder / "tokenizer.json").write_text(text.replace(without, "<other>"))

    return harm


def processor(name, content):
    return lambda folder: (folder / name).write_text(json.dumps(content))


HEAD, LAYER = "model.generation_head.vision_head.weight", "model.language_model.layers.1.mlp.up_proj.weight"
CLIP = [0.48145466, 0.4578275, 0.40821073]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (edit_config(lambda data: data.update(model_type="llava")), "describes 'llava', not a 'janus' model"),
        (cut("config.json", 30), "config.json is not JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "describes 'list'"),
        (only_a_pickle, "model.safetensors is missing; pytorch_model.bin beside it is a pickle.* refused"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing$"),
        (cut("model.safetensors"), "model.safetensors is cut short .*: it has .* bytes, and its header speaks of"),
        (cut("model.safetensors", 5), "model.safetensors is cut short or not a safetensors file"),
        (lambda folder: (folder / "model.safetensors").write_text("{}" * 90), "cannot hold a header of"),
        (edit_weights(lambda tensors: tensors.pop(LAYER)), f"it lacks {LAYER}$"),
        (edit_weights(lambda tensors: tensors.update({"x.y": torch.ones(1)})), "it has the unknown x.y$"),
        (
            edit_weights(lambda tensors: tensors.update({HEAD: tensors[HEAD][:100].clone()})),
            rf"1 tensors of another shape, first {HEAD}: \[100, 64\] where config.json says \[128, 64\]",
        ),
        (another_tokenizer(400, without="<image_placeholder>"), "no special token <image_placeholder>"),
        (another_tokenizer(700), "a tokenizer of 700 tokens and a network of 640"),
        (cut("tokenizer.json"), "tokenizer.json cannot be read as a tokenizer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (processor("preprocessor_config.json", {"image_mean": CLIP}), "preprocessor_config.json: image_mean is"),
        (processor("processor_config.json", {"image_processor": {"image_std": CLIP}}), "image_std is"),
    ],
)
def test_a_broken_or_foreign_checkpoint_is_named(theirs, tmp_path, harm, message):
    harm(theirs)
    with pytest.raises(CheckpointError, match=message):
        import_janus(theirs, tmp_path / "base")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"], "and nothing is left behind"


def index_of(folder):
    return json.loads((folder / "model.safetensors.index.json").read_text())


def edit_index(change):
    def harm(folder):
        index = index_of(folder)
        change(index)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return harm


def some_shard(folder):
    return sorted(folder.glob("model-0000*.safetensors"))[2]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda folder: some_shard(folder).unlink(),
            r"model-00003-of-.* is missing, which model.*index",
        ),
        (lambda folder: cut(some_shard(folder).name)(folder), "model-00003-of-.* is cut short"),
        (edit_index(lambda index: index["weight_map"].update({HEAD: "../x"})), "names the shard '../x'"),
        (edit_index(lambda index: index["weight_map"].update({HEAD: index["weight_map"][LAYER]})), f"says that {HEAD}"),
        (edit_index(lambda index: index.pop("weight_map")), "weight_map: Expected `object`"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{"), "index.json is not JSON"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("[]"), "holds a list, not an object"),
    ],
)
def test_shards_that_do_not_belong_together_are_named(oracle, tmp_path, harm, message):
    folder = save_janus(oracle, tmp_path / "theirs", max_shard_size="200KB")
    harm(folder)
    for use in (lambda: import_janus(folder, tmp_path / "base"), lambda: load(folder)):
        with pytest.raises(CheckpointError, match=message):
            use()
    assert not (tmp_path / "base").exists()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (edit_config(lambda data: data.pop("gen_vision_config")), "no gen_vision_config: .* but not a Janus"),
        (
            edit_config(lambda data: data["gen_vision_config"].update(cls="VQ-8")),
            "'VQ-8'; what is known is VQ-16",
        ),
        (
            edit_config(lambda data: data["vision_config"]["params"].update(model_name="sam_b")),
            "model_name is 'sam_b'; what is known is siglip_large_patch16_384",
        ),
        (
            edit_config(lambda data: data["aligner_config"]["params"].update(projector_type="linear")),
            "aligner_config is .* two layers with GELU",
        ),
        (edit_weights(lambda tensors: tensors.update({"gen_x.y": torch.ones(1)})), "has the unknown gen_x.y"),
        (
            edit_weights(lambda tensors: tensors.pop("vision_model.vision_tower.blocks.1.attn.qkv.bias")),
            "lacks model.vision_model.encoder.layers.1.self_attn.k_proj.bias",
        ),
        (
            edit_weights(
                lambda tensors: tensors.update({"vision_model.vision_tower.blocks.0.attn.qkv.bias": torch.ones(7)})
            ),
            r"blocks.0.attn.qkv.bias of shape \[7\] cannot be split",
        ),
    ],
)
def test_a_broken_or_foreign_original_is_named(original, tmp_path, harm, message):
    harm(original)
    with pytest.raises(CheckpointError, match=message):
        import_janus(original, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_what_is_not_imported_says_how(original):
    with pytest.raises(CheckpointError, match=r"describes 'multi_modality'.*`rig import-janus`"):
        load(original)


def test_quantized_weights_are_refused(theirs, tmp_path):
    edit_weights(lambda tensors: tensors.update({LAYER: tensors[LAYER].to(torch.int8)}))(theirs)
    for use in (lambda: load(theirs), lambda: import_janus(theirs, tmp_path / "base")):
        with pytest.raises(CheckpointError, match=f"{LAYER} is of type I8, where F16, BF16, F32, F64 can be read"):
            use()


def test_a_base_is_never_overwritten(kept, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "mine").touch()
    with pytest.raises(RigError, match="already exists"):
        import_janus(kept / "theirs", tmp_path / "base")
    assert [path.name for path in (tmp_path / "base").iterdir()] == ["mine"]


# Memory

MEASURE = """
import sys
from pathlib import Path
from rig.janus import export_janus, import_janus
from rig.model import load

def peak():
    line, = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

small, source, out, size = *map(Path, sys.argv[1:4]), int(sys.argv[4])
import_janus(small, out / "small")  # all code is in memory then
load(out / "small")
begun = peak()
import_janus(source, out / "base")
export_janus(out / "base", out / "again")
copied = peak()
model = load(out / "base")
print((copied - begun) / size, (peak() - copied) / size)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' own count of a process's memory")
def test_weights_are_never_held_twice_and_copied_without_being_held(kept, theirs, tmp_path):
    edit_config(lambda data: data["text_config"].update(vocab_size=400_000))(theirs)
    wide = torch.ones(400_000, 64)
    names = ("lm_head.weight", "model.language_model.embed_tokens.weight")
    edit_weights(lambda tensors: tensors.update({name: wide.clone() for name in names}))(theirs)
    size = (theirs / "model.safetensors").stat().st_size
    assert size > 200e6
    command = [sys.executable, "-c", MEASURE, str(kept / "theirs"), str(theirs), str(tmp_path), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    copying, loading = map(float, done.stdout.split())
    assert copying < 0.3
    assert 0.9 < loading < 1.3


# Out


def check_opens(folder, model):
    """transformers reads the folder whole, and computes what our model does."""
    opened, notes = transformers.JanusForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(notes[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    check_same(model, opened.eval().float())
    return opened


def test_a_base_goes_out_as_it_came_in(kept, oracle, tmp_path):
    export_janus(kept / "base", tmp_path / "again")
    opened = check_opens(tmp_path / "again", load(kept / "base"))
    assert opened.config.vision_config.num_image_tokens == 16
    import_janus(tmp_path / "again", tmp_path / "base")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert (tmp_path / "base" / name).read_bytes() == (kept / "base" / name).read_bytes()


def test_transformers_processor_reads_text_and_frames_as_we_do(kept, tmp_path):
    export_janus(kept / "base", tmp_path / "again")
    found, tokenizer = transformers.JanusProcessor.from_pretrained(tmp_path / "again"), gapped_tokenizer()
    ids = {"bos": tokenizer.bos, "eos": tokenizer.eos, "pad": tokenizer.pad}
    assert {name: getattr(found.tokenizer, f"{name}_token_id") for name in ids} == ids
    text = " Go left, 2.\n×木"
    assert found.tokenizer.encode(text, add_special_tokens=False) == tokenizer.encode(text)
    assert found.tokenizer.decode(tokenizer.encode(text)) == text
    frame = np.random.default_rng(0).integers(0, 256, (90, 144, 3), dtype=np.uint8)
    both = found(text=["<image_placeholder> go"], images=[frame], return_tensors="pt")
    read = [tokenizer.begin_image, *[tokenizer.image] * 16, tokenizer.end_image]
    assert both["input_ids"][0].tolist() == [*read, *tokenizer.encode(" go")]
    expected = frames_to_pixels(torch.from_numpy(fit_frame(frame, 64).copy())[None])
    torch.testing.assert_close(both["pixel_values"], expected, rtol=0, atol=1e-6)
    config = transformers.JanusConfig.from_pretrained(tmp_path / "again")
    assert config.image_token_id == tokenizer.image
    assert config.text_config.bos_token_id == tokenizer.bos


def test_transformers_writes_an_image_with_what_went_out(kept, tmp_path):
    export_janus(kept / "base", tmp_path / "again")
    model = transformers.JanusForConditionalGeneration.from_pretrained(tmp_path / "again").eval()
    assert model.generation_config.generation_kwargs == {"boi_token_id": gapped_tokenizer().begin_image}
    words = transformers.JanusProcessor.from_pretrained(tmp_path / "again")(
        text=["a tree"], generation_mode="image", return_tensors="pt"
    )
    codes = model.generate(**words, generation_mode="image", do_sample=False, guidance_scale=5)
    assert codes.shape == (1, 16)
    assert int(codes.max()) < 128


def test_what_janus_cannot_say_is_named(made, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        export_janus(made.agent, tmp_path / "out")
    for reason in ("(space_to_depth), not 1", "multiples of 256 (image_alignment)"):
        assert reason in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not inexpressible(PRESETS.get("janus-1b"))
    small = "; ".join(inexpressible(PRESETS.get("small")))
    assert "kernels of 1" in small
    assert "norm_groups" not in small
    assert "convolutions of [64, 128] channels (stem)" in "; ".join(inexpressible(PRESETS.get("small-128")))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm_groups": 16}, r"normalises in 16 groups \(norm_groups\)"),
        ({"image_size": 128}, "reads 4×4 patches and writes 8×8 codes"),
    ],
)
def test_each_reason_is_enough(kept, tmp_path, change, message):
    shutil.copytree(kept / "base", tmp_path / "base")
    edit_config(lambda data: data["rig"]["vq"].update(change))(tmp_path / "base")
    with pytest.raises(CheckpointError, match=message):
        export_janus(tmp_path / "base", tmp_path / "out")


# The whole way


def test_a_base_brings_both_tokenizers(kept):
    found = Tokenizers.load(kept / "base")
    assert found.text.pieces == gapped_tokenizer().pieces
    assert found.vq.config.num_tokens == 16
    assert found.scores == {}


def test_from_a_checkpoint_to_an_agent_and_out_again(capsys, made, kept, tmp_path):
    """rig import-janus, train twice, align, imagine, export-janus; Crafter's frames of 144 pixels are read as 64."""
    base, run = tmp_path / "base", tmp_path / "run"
    told = result(capsys, "import-janus", kept / "theirs", "--out", base)
    assert (told["layout"], told["out"]) == ("transformers", str(base))
    seen = result(capsys, "inspect", base)
    assert (seen["kind"], seen["text_tokens"], seen["layout"]) == ("base", len(gapped_tokenizer()), "transformers")
    quick = ("--data", made.data, "--steps", 3, "--batch-size", 2, "--no-compile")
    result(capsys, "train", "--start", base, *quick, "--out", run)
    agent, before = AgentCheckpoint.load(run / "agent"), load(base)
    assert agent.environment == Dataset(made.data).info.environment
    assert agent.origin["training"]["tokenizers"] == str(base)
    assert list((run / "previews").iterdir())
    moved = [
        name for name, value in before.state_dict().items() if not torch.equal(value, agent.model.state_dict()[name])
    ]
    assert moved
    assert not any(name.startswith("model.vqmodel.") for name in moved), "the VQ tokenizer is frozen"
    result(capsys, "train", "--start", run / "agent", *quick, "--out", tmp_path / "again")
    play = ("--agent", run / "agent", "--tasks", "collect_wood/manual")
    result(capsys, "align", *play, "--episodes", 1, "--states", 2, "--out", tmp_path / "s4")
    dreams = [dream for step in Dataset(tmp_path / "s4").steps() for dream in step.dreams]
    assert {dream.frame.shape for dream in dreams} == {(144, 144, 3)}
    scores = result(capsys, "imagine", *play, "--chains", 2, "--depth", 2, "--out", tmp_path / "imagined")
    assert [entry["steps"] for entry in scores["dream"]] == [1, 2]
    result(capsys, "export-janus", run / "agent", "--out", tmp_path / "out")
    check_opens(tmp_path / "out", agent.model)


def test_mistakes_with_bases_are_told_in_a_line(capsys, made, kept, tmp_path):
    words = ("train", "--data", made.data, "--out", tmp_path / "run")
    assert "give --tokenizers" in mistake(capsys, *words)
    said = mistake(capsys, "eval", "--agent", kept / "base", "--out", tmp_path / "eval")
    assert f"{kept / 'base'} is a base" in said
    said = mistake(capsys, *words, "--start", kept / "base", "--tokenizers", made.tokenizers)
    assert "was trained with other tokenizers" in said
    assert "config.json is missing" in mistake(capsys, "import-janus", tmp_path / "nowhere", "--out", tmp_path / "b")
    assert "no Janus that transformers could open" in mistake(
        capsys, "export-janus", made.agent, "--out", tmp_path / "b"
    )
    assert list(tmp_path.iterdir()) == []


def test_saved_networks_of_ours_come_in_too(tmp_path):
    """A network that was built here, saved without a tokenizer's help, is a checkpoint like any other."""
    config = config_from_json(janus().config.to_dict())
    model = RIG(config, seed=3)
    save(model, tmp_path / "ours")
    gapped_tokenizer().save(tmp_path / "ours")
    import_janus(tmp_path / "ours", tmp_path / "base")
    again = load(tmp_path / "base").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in model.state_dict().items())
