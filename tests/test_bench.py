"""Benchmarks run where they can, tell both sides' tokens alike, and count what they say they count."""

import json
from dataclasses import replace

import pytest
import torch

from rig.bench.branches import NAMES
from rig.bench.decode import JOBS, DecodeBench, bench_decode, copy_bandwidth
from rig.bench.dreams import DreamBench, bench_dreams
from rig.bench.janus import expressible
from rig.bench.policy import PolicyBench, bench_policy
from rig.errors import RigError
from rig.janus import inexpressible
from rig.model import PRESETS

pytest.importorskip("transformers")
torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give


@pytest.mark.parametrize("preset", ["debug", "small", "small-128", "janus-1b"])
def test_every_preset_has_a_form_that_transformers_can_have(preset):
    sizes = PRESETS.get(preset)
    brought = expressible(sizes)
    assert inexpressible(brought) == []
    assert brought.decoder == sizes.decoder
    assert brought.vision == replace(sizes.vision, stem=())
    assert brought.vq.num_tokens == sizes.vq.num_tokens
    assert (brought == sizes) == (preset == "janus-1b")


@pytest.fixture(scope="module")
def decoded():
    config = DecodeBench(
        preset="debug",
        batches=(1, 3),
        rounds=2,
        dreams=1,
        prompt_tokens=20,
        thought_tokens=5,
        action_tokens=3,
        guesses=4,
        branches=4,
        dtype="float32",
    )
    return bench_decode(config)


def test_both_sides_write_the_same_tokens(decoded):
    """All that is compared is the time: the likeliest tokens are the same, through dreams that are read back."""
    entries = {(entry["job"], entry["batch"]): entry for entry in decoded["entries"]}
    assert set(entries) == {(job, batch) for job in (*JOBS, "text tokens alone") for batch in (1, 3)}
    for job, each in zip(JOBS, (8, 81, 8 + 81 + 8), strict=True):
        for batch in (1, 3):
            entry = entries[job, batch]
            assert entry["same_tokens"] == 1
            assert entry["tokens"] == each * batch
            names = {"ours", "loop", "generate"} if job == JOBS[0] else {"ours", "loop"}
            assert set(entry["seconds"]) == names
            assert all(len(found["seconds"]) == 2 for found in entry["seconds"].values())
            loop = entry["faster"]["loop"]
            assert 0 < loop["min"] <= loop["median"] <= loop["max"]
    json.dumps(decoded)


def test_branches_write_the_same_and_keep_their_context_once(decoded):
    context, longest, bytes_of_a_token = 81 + 20, 81, 4 * (2 * 2 * 32 + 64) + 8
    assert [entry["job"] for entry in decoded["branches"]] == list(NAMES)
    for entry in decoded["branches"]:
        assert (entry["context"], entry["branches"], entry["same_tokens"]) == (context, 4, 1)
        places = {way: size / bytes_of_a_token for way, size in entry["cache_bytes"].items()}
        assert places == {"forked": context + longest + 4 * (longest + 1), "a row each": 4 * (context + longest)}
        assert entry["faster"]["a row each"]["median"] > 0


def test_the_share_of_bandwidth_is_of_weights_and_cache(decoded):
    (alone,) = [entry for entry in decoded["entries"] if entry["job"] == "text tokens alone" and entry["batch"] == 1]
    decoder = PRESETS.get("debug").decoder
    weights = 2 * (64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64 + 512 * 64
    context = 81 + 20 + 4 + 64 - 32
    assert alone["bytes_per_pass"] == 4 * (weights + context * 2 * decoder.num_layers * 32)
    assert alone["share_of_bandwidth"] > 0
    assert copy_bandwidth(torch.device("cpu")) > 1e8


def test_decisions_are_counted_over_worlds(made):
    config = PolicyBench(agent=str(made.agent), worlds=(1, 2), dreams=(0, 1), decisions=4, rounds=1)
    entries = bench_policy(config)["entries"]
    assert [(entry["dreams"], entry["worlds"]) for entry in entries] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    for entry in entries:
        assert entry["decisions_per_second"] > 0
        assert 0 < entry["world_share"] < 1
    assert entries[0]["faster_than_first"] == 1


@pytest.mark.parametrize("agent", [True, False])
def test_ways_to_dream_are_timed_beside_each_other(made, agent):
    how = {"agent": str(made.agent)} if agent else {"preset": "debug"}
    found = bench_dreams(DreamBench(**how, batches=(1, 17), diagonal_offsets=(0,), rounds=1, dtype="float32"))
    ways = ["code by code", "exact, guessed", "diagonal, lead 0", "where sure, 0.1 nats", "one pass"]
    expected = {1: [w for w in ways if agent or "sure" not in w]}
    expected[17] = [way for way in expected[1] if "exact" not in way]
    assert [(e["batch"], e["way"]) for e in found["entries"]] == [(n, w) for n, some in expected.items() for w in some]
    for entry in found["entries"]:
        assert entry["dreams_per_second"] == pytest.approx(entry["batch"] / entry["seconds"]["median"])
        if entry["way"] in ("code by code", "exact, guessed"):
            assert entry["same_codes"] == 1
        limits = {"code by code": (81, 81), "diagonal, lead 0": (1, 17), "one pass": (1, 1)}
        low, high = limits.get(entry["way"], (1, 81))
        assert low <= entry["passes"] <= high
    json.dumps(found)


def test_dreams_of_an_agent_without_dreams_are_refused(made, monkeypatch):
    from dataclasses import replace

    from rig.agents.checkpoint import AgentCheckpoint

    checkpoint = AgentCheckpoint.load(made.agent)
    mute = replace(checkpoint, prompt_format=replace(checkpoint.prompt_format, dream=False))
    monkeypatch.setattr(AgentCheckpoint, "load", classmethod(lambda cls, folder: mute))
    with pytest.raises(RigError, match="does not dream; give --dreams 0"):
        bench_policy(PolicyBench(agent=str(made.agent), dreams=(1,)))
