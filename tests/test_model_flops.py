"""The formula's operations are those that torch counts, whatever learns; peaks are known by name or measured."""

from dataclasses import replace

import pytest
import torch
from test_model_pack import CONFIG, DOCUMENTS
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from rig.model import RIG, pack
from rig.model.flops import FlopCount, Work, peak_flops
from rig.model.parts import add_lora, freeze
from rig.train import RoleWeights
from rig.train.loss import token_losses

BATCH = pack(DOCUMENTS)
WORK = Work.of(BATCH, len(DOCUMENTS))


def counted(model, backend=SDPBackend.FLASH_ATTENTION):
    """Return the operations that torch counts in a step; it sees into attention where that is made of products."""
    model.train()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(backend):
        token_losses(model, BATCH, RoleWeights()).loss.backward()
    return counter.get_total_flops()


def test_the_work_of_a_pack_leaves_padding_out():
    padded = Work.of(pack(DOCUMENTS, length=1000), len(DOCUMENTS))
    assert padded == WORK
    assert padded.documents == tuple(map(len, DOCUMENTS))
    assert (padded.frames, padded.codes, padded.code_rows) == (3, 3 * 81, 3 * 81)
    assert padded.text_rows == len(BATCH.text_rows)


@pytest.mark.parametrize("stem", [(), (8, 16)])
@pytest.mark.parametrize(
    ("frozen", "low_rank"),
    [
        ((), ()),
        (("vision",), ()),
        (("vision", "aligner"), ()),
        (("decoder", "heads"), ()),
        (("vision", "aligner", "embeddings", "codes", "decoder"), ()),
        (("vision", "aligner", "codes"), ("decoder", "heads")),
    ],
)
def test_matrices_cost_what_torch_counts(frozen, low_rank, stem):
    model = RIG(replace(CONFIG, vision=replace(CONFIG.vision, stem=stem)), seed=0)
    add_lora(model, low_rank, rank=2, seed=0)
    freeze(model, frozen)
    wanted, found = counted(model), FlopCount(model).matrices(WORK)
    assert wanted > 1e8
    assert found == (pytest.approx(wanted, rel=0.06) if frozen else wanted), "the lowest layer that learns costs less"


def test_attention_costs_what_torch_counts():
    """As products of matrices it is all pairs of tokens, where half of the decoder's are attended to."""
    model = RIG(CONFIG, seed=0)
    vision = 4 * 3 * 81**2 * CONFIG.vision.hidden_size * CONFIG.vision.num_layers
    decoder = 4 * sum(length**2 for length in WORK.documents) * 64 * CONFIG.decoder.num_layers
    assert counted(model, SDPBackend.MATH) - counted(model) == 3 * (vision + decoder)
    assert FlopCount(model).attention(WORK) == 3 * (vision + decoder / 2)
    freeze(model, ("vision", "aligner", "embeddings", "codes", "decoder"))
    assert FlopCount(model).attention(WORK) == vision + decoder / 2


def test_peaks_are_known_by_name_or_measured(monkeypatch):
    peak_flops.cache_clear()
    assert 1e9 < peak_flops(torch.device("cpu")) < 1e15
    assert peak_flops(torch.device("cpu")) == peak_flops(torch.device("cpu")), "measured once"
    monkeypatch.setattr("rig.model.flops.compute_dtype", lambda _: torch.bfloat16)
    for name, peak in {"NVIDIA H200": 989e12, "NVIDIA H100 PCIe": 756e12, "NVIDIA A10G": 70e12, "Abacus": None}.items():
        peak_flops.cache_clear()
        monkeypatch.setattr("torch.cuda.get_device_name", lambda _, name=name: name)
        assert peak_flops(torch.device("cuda")) == peak
    peak_flops.cache_clear()
