"""Packs are drawn ahead: while a step is learned, exactly as they would be drawn behind it, and no thread is left."""

import threading
from contextlib import closing
from dataclasses import replace

import pytest
from makers import QUICK, agent_training, interrupted_at_a_save
from test_train import state_of

from rig.errors import RigError
from rig.train import train_agent
from rig.train.packs import Packer
from rig.train.prefetch import prefetched
from rig.train.runs import Run


def drawing_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_the_next_item_is_drawn_while_one_is_used_and_no_other():
    drawn = [threading.Event() for _ in range(4)]
    numbers = iter(range(4))

    def draw():
        number = next(numbers)
        drawn[number].set()
        return number

    with closing(prefetched(draw, 3)) as items:
        assert next(items) == 0
        assert drawn[1].wait(20)
        assert not drawn[2].wait(0.1), "no more than one waits"
        assert list(items) == [1, 2]
        assert not drawn[3].wait(0.1), "no more than are used"
    assert list(prefetched(draw, 0)) == drawing_threads() == []


def test_a_state_counts_what_was_learned_from_and_not_what_was_drawn(made, tmp_path, monkeypatch):
    draw, save = Packer.next_pack, Run.save_state
    counts, third = [], threading.Event()

    def counted(packer):
        batch, count = draw(packer)
        counts.append(count)
        if len(counts) == 3:
            third.set()
        return batch, count

    def save_late(run, state):
        assert third.wait(20), "the pack behind the saved step is there"
        save(run, state)

    monkeypatch.setattr(Packer, "next_pack", counted)
    monkeypatch.setattr(Run, "save_state", save_late)
    with interrupted_at_a_save(2):
        train_agent(agent_training(made.data, made.tokenizers), tmp_path / "run")
    assert int(state_of(tmp_path / "run")["drawn"]) == sum(counts[:2]) < sum(counts)


def test_a_mistake_in_a_pack_is_raised_where_its_step_would_be(made, tmp_path, monkeypatch):
    draw, mistake = Packer.next_pack, RigError("the fourth pack is spoilt")
    packs = iter(range(10))

    def spoilt(packer):
        if next(packs) == 3:
            raise mistake
        return draw(packer)

    monkeypatch.setattr(Packer, "next_pack", spoilt)
    with pytest.raises(RigError) as raised:
        train_agent(agent_training(made.data, made.tokenizers, training=replace(QUICK, steps=6)), tmp_path / "run")
    assert raised.value is mistake
    assert not drawing_threads()
    assert state_of(tmp_path / "run")["step"] == 2, "what was learned before it is kept"


def test_an_interrupt_ends_the_thread(made, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rig.train.loop.take_step", interrupted)
    with pytest.raises(KeyboardInterrupt) as raised:
        train_agent(agent_training(made.data, made.tokenizers), tmp_path / "run")
    assert raised.tb is not None, "whose frames are still there"
    assert not drawing_threads()
