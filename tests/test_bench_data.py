"""`rig bench data` reads what training reads: its packs are training's, in whatever process, and its figures add up."""

import json
import pickle
from dataclasses import replace
from functools import partial

import pytest

from rig.bench.config import DataBench
from rig.bench.data import LEARNS, ONE, TIMES, TOKENS, Reader, _digest, _read, _reading, _training, bench_data
from rig.cli.main import main
from rig.data import Dataset
from rig.errors import CheckpointError, RigError
from rig.train import train_agent
from rig.train.packs import ConversationPacks


@pytest.fixture
def config(made):
    return DataBench(
        agent=str(made.agent), data=(str(made.data),), batch_size=2, packs=4, steps=1, rounds=1, compile=False
    )


def test_what_is_read_is_what_a_training_of_the_same_data_learns_from(config, tmp_path, monkeypatch):
    learned, make = [], ConversationPacks.next_packs

    def noted(self):
        drawn = make(self)
        learned.extend(_digest(pack) for pack, _ in drawn.packs)
        return drawn

    monkeypatch.setattr(ConversationPacks, "next_packs", noted)
    training = _training(config, tmp_path)
    short = replace(training.training, steps=2, log_every=1, save_every=2, preview_every=0, compile=False)
    train_agent(replace(training, training=short), tmp_path / "run")
    assert len(learned) == 2
    assert [_digest(pack) for pack in Reader.of(training).read(0, 1, 2)] == learned


def test_the_command_tells_every_way_and_its_figures_add_up(config, capsys):
    words = ["bench", "data", "--agent", config.agent, "--data", *config.data, "--workers", "1", "--batch-size", "2"]
    words += ["--packs", "4", "--steps", "1", "--rounds", "1", "--no-compile", "--json-last"]
    assert main(words) == 0
    *text, last = capsys.readouterr().out.splitlines()
    found = json.loads(last)
    assert [line.split("  ")[0] for line in text[3:7]] == list(found["contenders"])
    assert "times as fast" in text[7]
    assert "all readers make the same packs" in text[8]
    speeds = found["processor"]["tokens_per_second"]
    assert found["processor"]["ratio"] == pytest.approx(speeds[ONE] / speeds[LEARNS])
    learns, reads = found["contenders"][LEARNS], found["contenders"]["reading, 1 worker"]
    assert (learns["tokens"], reads["tokens"]) == (found["pack_tokens"], 4 * found["pack_tokens"])
    for name, entry in found["contenders"].items():
        assert entry["tokens_per_second"] == pytest.approx(entry["tokens"] / entry["seconds"]["median"])
        times = entry["tokens_per_second"] / learns["tokens_per_second"]
        assert name == LEARNS or found["ratios"][name]["median"] == pytest.approx(times)
    reached = found["ratios"]["reading, 1 worker"]["median"] >= TIMES and reads["tokens_per_second"] >= TOKENS
    assert found["targets"]["met"] == reached == ("NOT REACHED" not in text[9])
    assert found["opening"]["steps"] > 10


def test_workers_read_the_lanes_of_one_training_between_them(config, tmp_path):
    """As processes do, each of which is sent the training alone."""
    training = _training(config, tmp_path)
    here = Reader.of(training)
    for lane in ((0, 2, 1), (1, 2, 1)):
        prepare, job = pickle.loads(pickle.dumps((partial(_reading, training), _read)))
        with prepare() as reader:
            assert job(reader, lane) == _read(here, lane)
    assert _read(here, (0, 2, 1)) != _read(here, (1, 2, 1))


def test_where_there_are_no_data_a_teacher_plays_first(config, tmp_path):
    few = replace(config, data=(), tasks=("place_table/tool",), episodes=2)
    (part,) = _training(few, tmp_path).parts
    assert Dataset(part.data).info.stage == "s2"


def test_nothing_to_do_and_nobody_to_do_it_are_refused(tmp_path):
    with pytest.raises(RigError, match="workers=0"):
        bench_data(DataBench(workers=0))
    with pytest.raises(CheckpointError, match="nobody"):
        bench_data(DataBench(agent=str(tmp_path / "nobody"), data=(str(tmp_path),)))
