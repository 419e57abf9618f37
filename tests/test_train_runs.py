"""Runs on disk and on any machine: without a compiler, with more steps, with damaged states, with wrong values."""

import json
import shutil
from dataclasses import replace
from importlib import import_module

import pytest
import torch
import torch.distributed.checkpoint as dcp
from makers import QUICK, agent_training, interrupted_at_a_save
from test_train import metrics_of, state_of, weights_of

from rig.agents.checkpoint import read_agent
from rig.errors import CheckpointError, RigError
from rig.model import PRESETS, compute_dtype
from rig.train import (
    DataPart,
    OptimiserConfig,
    RoleWeights,
    TokenizerTraining,
    TrainingConfig,
    VisionTraining,
    compiling,
    train_agent,
    train_tokenizers,
    train_vision,
)
from rig.train.loop import Trainer
from rig.train.optimise import learning_rate, leg_of
from rig.train.runs import Run
from rig.train.state import State

SHORT = replace(QUICK, steps=2, log_every=1, save_every=1, preview_every=0)


def record_of(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def finished(made, tmp_path_factory):
    """A run of two steps, for tests to copy."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train_agent(agent_training(made.data, made.tokenizers, training=SHORT), folder)
    return folder


@pytest.fixture
def no_compiler():
    """A machine on which the C++ compiler is not found."""
    inductor = import_module("torch._inductor.config")
    with inductor.patch({"cpp.cxx": ("/nonexistent",)}):
        yield


def longer(made, steps, **changes):
    return agent_training(made.data, made.tokenizers, training=replace(SHORT, steps=steps), **changes)


@pytest.mark.parametrize("place", ["{tmp}/with space", "{tmp}/file/below"])
def test_a_cache_that_the_compiler_cannot_use_is_found_out(tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", place.format(tmp=tmp_path))
    why = compiling.why_not_compile(torch.device("cpu"))
    assert why
    assert "\n" not in why
    assert len(why) <= compiling.LONGEST_REASON
    assert not (tmp_path / "compile").exists(), "only success is noted"


def test_that_compiling_works_is_noted_for_this_compiler(tmp_path, monkeypatch):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    tried = []
    monkeypatch.setattr(compiling, "_try", tried.append)
    device = torch.device("cpu")
    assert compiling.why_not_compile(device) is compiling.why_not_compile(device) is None
    assert len(tried) == 1
    monkeypatch.setenv("CXX", "/nonexistent")
    assert compiling.why_not_compile(device) is None
    assert len(tried) == 2, "another compiler is tried anew"


def test_a_run_says_in_what_it_computed_where_that_changes_and_its_agent_too(finished, tmp_path, monkeypatch):
    """Whatever this processor's answer is, it is what is recorded; and once, where a run goes on in the same."""
    dtype = str(compute_dtype("cpu")).removeprefix("torch.")
    wanted = [{"from_step": 0, "device": "cpu", "dtype": dtype}]
    assert record_of(finished)["runs_in"] == read_agent(finished / "agent")["origin"]["runs_in"] == wanted
    other = torch.float32 if dtype == "bfloat16" else torch.bfloat16
    with Run(tmp_path / "run", {"steps": 9}) as run:
        run.note_runs_in(0, torch.device("cpu"))
        run.note_runs_in(3, torch.device("cpu"))
        monkeypatch.setattr("rig.train.runs.compute_dtype", lambda device: other)
        run.note_runs_in(5, torch.device("cpu"))
        assert [entry["from_step"] for entry in run.runs_in] == [0, 5]
        assert run.runs_in[1]["dtype"] == str(other).removeprefix("torch.")


def test_training_goes_on_without_a_compiler_and_says_so(made, finished, tmp_path, monkeypatch, no_compiler, capsys):
    """The trial fails, in truth, for want of a compiler; what is learned is what an uncompiled run learns."""
    monkeypatch.setenv("RIG_CACHE", str(tmp_path / "cache"))
    train_agent(agent_training(made.data, made.tokenizers, training=replace(SHORT, compile=True)), tmp_path / "run")
    told = [line for line in capsys.readouterr().err.splitlines() if "without compiling" in line]
    assert len(told) == 1
    assert "/nonexistent" in told[0]
    (entry,) = record_of(tmp_path / "run")["uncompiled"]
    assert entry["from_step"] == 0
    assert entry["reason"] in told[0]
    wanted, found = weights_of(finished), weights_of(tmp_path / "run")
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_a_first_step_that_does_not_compile_is_taken_without_and_a_compiled_run_goes_on(
    made, finished, tmp_path, monkeypatch, no_compiler
):
    """The trial succeeds, the network itself does not; a run begun with compiling is resumed where there is none."""
    monkeypatch.setattr("rig.train.loop.why_not_compile", lambda device: None)
    config = agent_training(made.data, made.tokenizers, training=replace(SHORT, compile=True))
    with interrupted_at_a_save(1):
        train_agent(config, tmp_path / "run")
    monkeypatch.undo()
    monkeypatch.setenv("RIG_CACHE", str(tmp_path / "cache"))
    train_agent(config, tmp_path / "run", resume=True)
    assert [entry["from_step"] for entry in record_of(tmp_path / "run")["uncompiled"]] == [0, 1]
    assert metrics_of(tmp_path / "run")[0]["step"] == 1
    wanted, found = weights_of(finished), weights_of(tmp_path / "run")
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


def test_an_error_that_is_not_the_compilers_ends_a_run(made, tmp_path, monkeypatch):
    def broken(self, batch, weight):
        raise RuntimeError("not the compiler's")

    monkeypatch.setattr("rig.train.loop.why_not_compile", lambda device: None)
    monkeypatch.setattr(Trainer, "_learn", broken)
    config = agent_training(made.data, made.tokenizers, training=replace(SHORT, compile=True))
    with pytest.raises(RuntimeError, match="not the compiler's"):
        train_agent(config, tmp_path / "run")


def test_a_leg_has_a_schedule_of_its_own():
    assert [leg_of(step, [2, 5]) for step in range(6)] == [(0, 2), (0, 2), (2, 5), (2, 5), (2, 5), (2, 5)]
    assert leg_of(7, [10]) == (0, 10)


def test_a_finished_run_goes_on_for_another_leg_and_a_killed_leg_bit_by_bit(made, finished, tmp_path):
    """The first leg stays as it was; the second warms up and decays over the steps that it adds."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        shutil.copytree(finished, folder)
    train_agent(longer(made, 5), whole, resume=True)
    with interrupted_at_a_save(4):
        train_agent(longer(made, 5), cut, resume=True)
    train_agent(longer(made, 5), cut, resume=True)
    expected, found = weights_of(whole), weights_of(cut)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert metrics_of(whole) == metrics_of(cut)
    assert metrics_of(whole)[:2] == metrics_of(finished)
    rates = [line["rate"] for line in metrics_of(whole)]
    optimiser = SHORT.optimiser
    assert rates == [
        *(learning_rate(n, 2, optimiser) for n in range(2)),
        *(learning_rate(n, 3, optimiser) for n in range(3)),
    ]
    record = record_of(whole)
    assert [leg["steps"] for leg in record["legs"]] == [2, 5]
    assert record["legs"][0]["provenance"] == record_of(finished)["provenance"]
    origin = json.loads((whole / "agent" / "agent.json").read_text())["origin"]
    assert origin["legs"] == [2, 5]
    assert origin["training"]["training"]["steps"] == origin["totals"]["steps"] == 5


def test_what_is_no_further_leg_is_refused(made, finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    before = record_of(tmp_path / "run")
    with pytest.raises(RigError, match="begun with 2 steps, and 1 are fewer"):
        train_agent(longer(made, 1), tmp_path / "run", resume=True)
    with pytest.raises(RigError, match="model_seed"):
        train_agent(longer(made, 5, model_seed=3), tmp_path / "run", resume=True)
    with interrupted_at_a_save(1):
        train_agent(longer(made, 2), tmp_path / "half")
    with pytest.raises(RigError, match=r"has taken 1 of its 2 steps; finish it with --resume --steps 2"):
        train_agent(longer(made, 5), tmp_path / "half", resume=True)
    assert record_of(tmp_path / "run") == before


@pytest.mark.parametrize("damage", ["cut", "empty", "not ours", "of another step"])
def test_a_damaged_state_is_named_and_the_one_before_is_gone_on_from(finished, tmp_path, damage, capsys):
    shutil.copytree(finished / "state", tmp_path / "state")
    newest = tmp_path / "state" / "step-000002"
    tensors = {name: torch.zeros_like(value) for name, value in state_of(finished).items()}
    if damage == "of another step":
        newest = newest.rename(newest.with_name("step-000007"))
    for path in () if damage == "of another step" else newest.iterdir():
        data = path.read_bytes()
        path.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "not ours": b"\x80\x04N."}[damage])
    with pytest.raises(CheckpointError, match=rf"{newest.name} .*remove it to begin this run again"):
        State(tmp_path).load(tensors)
    dcp.save(
        {name: torch.full_like(value, 1) for name, value in tensors.items()},
        checkpoint_id=tmp_path / "state" / "step-000001",
    )
    (tmp_path / "state" / "step-by-me").mkdir()
    assert State(tmp_path).load(tensors)
    assert all((value == 1).all() for value in tensors.values())
    assert f"Going on from {'step-000001'}" in capsys.readouterr().err
    state = State(tmp_path)
    state.save({"step": torch.tensor(State.step_of(newest))})
    state.close()
    assert [path.name for path in (tmp_path / "state").glob("step-0*")] == [newest.name], "the damaged one is replaced"


@pytest.mark.parametrize(
    "text", ["[]", '{"config": {', '{"config": {}, "legs": 3}', '{"config": {"training": {"steps": 2}}, "legs": [{}]}']
)
def test_a_damaged_record_is_named(made, finished, tmp_path, text):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"run\.json .*begin the run in another folder"):
        train_agent(longer(made, 2), tmp_path / "run", resume=True)


WRONG = [
    (OptimiserConfig, {"learning_rate": float("nan")}, "learning_rate=nan"),
    (OptimiserConfig, {"learning_rate": float("inf")}, "learning_rate=inf"),
    (OptimiserConfig, {"learning_rate": 0.0}, "learning_rate=0"),
    (OptimiserConfig, {"warmup": -1}, "warmup=-1"),
    (OptimiserConfig, {"betas": (0.9, 1.0)}, "betas"),
    (RoleWeights, {"action": float("nan")}, "action_weight=nan"),
    (RoleWeights, {"thought": 0.0, "action": 0.0, "image": 0.0}, "nothing learns"),
    (TrainingConfig, {"steps": -1}, "steps=-1"),
    (TrainingConfig, {"batch_size": 0}, "batch_size=0"),
    (TrainingConfig, {"save_every": 0}, "save_every=0"),
    (TrainingConfig, {"preview_every": -1}, "preview_every=-1"),
    (TrainingConfig, {"seed": -1}, "seed=-1"),
    (VisionTraining, {"model": None, "steps": 0}, "steps=0"),
    (TokenizerTraining, {"model": None, "batch_size": 0}, "batch_size=0"),
    (TokenizerTraining, {"model": None, "collages": 1.5}, "collages=1.5"),
    (TokenizerTraining, {"model": None, "held_out": 0}, "held_out=0"),
    (DataPart, {"data": "s2", "share": float("nan")}, "share=nan"),
    (DataPart, {"data": "s2", "fraction": 0.0}, "fraction=0"),
]


@pytest.mark.parametrize(("kind", "values", "message"), WRONG, ids=[message for _, _, message in WRONG])
def test_a_value_out_of_its_range_is_refused_before_any_work(kind, values, message):
    with pytest.raises(RigError, match=message):
        kind(**values)


def test_a_place_that_cannot_be_a_run_is_refused_before_anything_is_read(made, finished, tmp_path):
    """The data and tokenizers named here are not even there."""
    (tmp_path / "file").write_text("")
    config = agent_training(tmp_path / "no data", tmp_path / "no tokenizers", training=SHORT)
    with pytest.raises(RigError, match="file is no folder; choose another path"):
        train_agent(config, tmp_path / "file" / "run")
    with pytest.raises(RigError, match="already exists; continue it with --resume"):
        train_agent(config, finished)
    presets = PRESETS.get("debug")
    with pytest.raises(RigError, match="already exists"):
        train_tokenizers(None, TokenizerTraining(model=presets.vq), finished, vocabulary_size=512)
    with pytest.raises(RigError, match="already exists"):
        train_vision(None, None, VisionTraining(model=presets.vision), finished)
