"""What runs log, told to trackers: TensorBoard read back, one that fails, one that is not there, one of one's own."""

import json
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from makers import QUICK, agent_training
from test_train import metrics_of, weights_of

from rig.cli.main import main
from rig.errors import RigError
from rig.tracking import TRACKERS, TRACKING_FILE, Tracking, numbers_in
from rig.train import train_agent
from rig.train.runs import Run

SHORT = replace(QUICK, steps=4, log_every=1, save_every=2, preview_every=0)


@pytest.fixture(scope="module")
def untracked(made, tmp_path_factory):
    """A run that no tracker is told of."""
    folder = tmp_path_factory.mktemp("untracked") / "run"
    train_agent(agent_training(made.data, made.tokenizers, training=SHORT), folder)
    return folder


def cut_and_gone_on(config, folder, monkeypatch, track):
    """Have a run die behind its fourth line, when the state of its second step is the last; then go on with it."""
    save = Run.save_state

    def die_before_the_fourth(self, state):
        if int(state["step"]) == 4:
            raise KeyboardInterrupt
        save(self, state)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_state", die_before_the_fourth)
        with pytest.raises(KeyboardInterrupt):
            train_agent(config, folder, track=track)
    train_agent(config, folder, resume=True, track=track)


def scalars_of(folder):
    """Return the scalars of a folder's event files as TensorBoard shows them: {name: [(step, value), ...]}."""
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reading.EventAccumulator(str(folder))
    events.Reload()
    return {name: [(one.step, one.value) for one in events.Scalars(name)] for name in events.Tags()["scalars"]}


def logged_in(folder):
    """Return what `scalars_of` should, from the run's own log."""
    found = {}
    for line in (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()):
        for name in line.keys() - {"step"}:
            found.setdefault(name, []).append((line["step"], pytest.approx(line[name], rel=1e-6)))
    return found


def test_tensorboard_shows_each_step_of_a_run_once_though_it_was_cut(made, untracked, tmp_path, monkeypatch):
    config = agent_training(made.data, made.tokenizers, training=SHORT)
    cut_and_gone_on(config, tmp_path / "run", monkeypatch, ("tensorboard",))
    shown = scalars_of(tmp_path / "run")
    assert shown == logged_in(tmp_path / "run")
    assert [step for step, _ in shown["image_loss"]] == [1, 2, 3, 4]
    assert len(list((tmp_path / "run").glob("events.out*"))) == 2, "it was cut and gone on with"
    assert metrics_of(tmp_path / "run") == metrics_of(untracked)
    assert not list(untracked.glob("events.out*")), "nothing is tracked unless it is asked for"


class Told:
    """A tracker that keeps what it is told, meddles with what it can reach, and fails where `fails` says."""

    fails, error = "", RuntimeError("no room\nleft")
    runs, calls = (), ()

    def begin(self, run):
        Told.runs = (*Told.runs, run)
        self._called("begin")

    def log(self, step, values):
        Told.calls = (*Told.calls, (step, dict(values)))
        values.clear()
        self._called("log")

    def end(self):
        self._called("end")

    def _called(self, name):
        print("a tracker's own words")
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        if name == Told.fails:
            raise Told.error


@pytest.fixture
def told(monkeypatch):
    for name, value in {"fails": "", "error": Told.error, "runs": (), "calls": ()}.items():
        monkeypatch.setattr(Told, name, value)
    monkeypatch.setattr(TRACKERS, "_entries", {**TRACKERS._entries, "told": "test_tracking:Told"})
    return Told


def test_a_run_that_goes_on_is_the_same_run_to_its_trackers(made, untracked, told, tmp_path, monkeypatch, capsys):
    config = agent_training(made.data, made.tokenizers, training=SHORT)
    shared = random.getstate(), torch.get_rng_state()
    cut_and_gone_on(config, tmp_path / "run", monkeypatch, ("told", "told"))
    assert shared[0] == random.getstate(), "what a tracker draws is nobody else's loss"
    assert torch.equal(shared[1], torch.get_rng_state())
    first, again = told.runs
    assert (first.name, first.step, again.step) == ("run", 0, 2)
    assert first.id == again.id == json.loads((tmp_path / "run" / TRACKING_FILE).read_text())["id"]
    assert first.config["training"]["steps"] == 4
    assert [step for step, _ in told.calls] == [1, 2, 3, 4, 3, 4]
    assert told.calls[2][1]["image_loss"] == told.calls[4][1]["image_loss"]
    assert metrics_of(tmp_path / "run") == metrics_of(untracked)
    assert capsys.readouterr().out == ""


def test_a_tracker_that_fails_is_left_out_in_a_line_and_the_run_learns_the_same(
    made, untracked, told, tmp_path, capsys
):
    told.fails = "log"
    config = agent_training(made.data, made.tokenizers, training=SHORT)
    agent = train_agent(config, tmp_path / "run", track=("told",))
    (line,) = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "tracker" in line]
    assert "goes on without the tracker told, which failed: RuntimeError: no room left" in line
    assert len(told.calls) == 1
    assert agent.is_dir()
    wanted, found = weights_of(untracked), weights_of(tmp_path / "run")
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)


@pytest.mark.parametrize(
    ("fails", "error", "calls"),
    [("begin", OSError(28, "no space"), 0), ("log", SystemExit(3), 1), ("end", TimeoutError(), 2)],
)
def test_whatever_a_tracker_fails_with_it_is_told_once(told, tmp_path, capsys, fails, error, calls):
    told.fails, told.error = fails, error
    tracking = Tracking(["told"])
    tracking.begin(tmp_path, {})
    for step in (1, 2):
        tracking.log(step, {"loss": 1.0})
    tracking.end()
    assert len(told.calls) == calls
    assert capsys.readouterr().err.count(f"told, which failed: {type(error).__name__}") == 1


def test_an_id_that_cannot_be_read_leaves_out_all_trackers(told, tmp_path, capsys):
    (tmp_path / TRACKING_FILE).write_text('{"id": "../../etc"}')
    tracking = Tracking(["told"])
    tracking.begin(tmp_path, {})
    tracking.log(1, {"loss": 1.0})
    tracking.end()
    assert (told.runs, told.calls) == ((), ())
    assert TRACKING_FILE in capsys.readouterr().err


VERBS = {
    "train": "train --data D --tokenizers T --out OUT",
    "train-tokenizer": "train-tokenizer --data DATA --out OUT",
    "train-vision": "train-vision --data DATA --out OUT",
    "improve": "improve --agent A --out OUT",
    "eval": "eval --agent A --out OUT",
    "imagine": "imagine --agent A --out OUT",
    "causality": "causality --agent A --out OUT",
    "eval-reviews": "eval-reviews --agent A --data D --out OUT",
    "judge": "judge --agent A --data D --out OUT",
}


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_missing_is_told_before_any_work(made, tmp_path, monkeypatch, capsys, verb):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("rig.cli.training.Train.config", lambda self: None)
    names = {"DATA": str(made.data), "OUT": str(tmp_path / "out")}
    words = [names.get(word, word) for word in VERBS[verb].split()]
    assert main([*words, "--track", "wandb"]) == 2
    assert "pip install 'rig-agent[wandb]'" in capsys.readouterr().err
    assert main([*words, "--track", "tensorbord"]) == 2
    assert "unknown tracker 'tensorbord'. Did you mean 'tensorboard'?" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_evaluations_numbers_are_told(tmp_path, capsys):
    words = ("eval", "--agent", "teacher:crafter", "--episodes", "1", "--tasks", "place_table/tool")
    out = tmp_path / "eval"
    assert main([*words, "--out", str(out), "--track", "tensorboard", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    shown = scalars_of(out)
    assert shown["success/value"] == [(0, 1.0)]
    told = {name: scores[name] for name in scores.keys() - {"config", "provenance", "seeds"}}
    assert set(shown) == set(numbers_in(told))


def test_numbers_are_found_wherever_they_stand():
    scores = {"a": {"b": 1, "c": [0.5, {"d": 2.0}]}, "e": True, "f": "7", "g": None}
    assert numbers_in(scores) == {"a/b": 1.0, "a/c/0": 0.5, "a/c/1/d": 2.0}


def test_a_package_adds_a_tracker_of_its_own(tmp_path, monkeypatch):
    package = tmp_path / "mine-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0\n")
    (package / "entry_points.txt").write_text("[rig.trackers]\nmine = test_tracking:Told\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"mine", "tensorboard", "trackio", "wandb"} <= set(TRACKERS.names())
    assert Tracking(["mine"])._trackers["mine"].__class__.__name__ == "Told"
    with pytest.raises(RigError, match="unknown tracker 'mime'"):
        Tracking(["mime"])
