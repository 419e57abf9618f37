"""The plans of a decision on disk: all of them come back, each frame once, and what has none is as it was before."""

from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_roundtrip import TOKENIZER, assert_same, info_for, write

from rig.actions import Action
from rig.data import CodesCache, Dataset, DatasetWriter, load_frames, summary
from rig.data.rows import SCHEMA
from rig.data.writer import refuse_unstorable
from rig.errors import DatasetError, RigError
from rig.records import Dream, Plan, fake_plan, fake_step, fake_trajectory
from rig.stages.s0_reading import Fitted

PLAIN = fake_trajectory(1, length=5, size=8, num_dreams=1)
WEIGHED = fake_trajectory(2, length=5, size=8, num_dreams=2, num_plans=3)


def steps_file(dataset, number=0):
    return dataset.path / "shards" / f"steps-{number:05d}.parquet"


def changed(trajectory, **changes):
    """Return the trajectory, its first step's first candidate that was not chosen changed."""
    first, *rest = trajectory.steps
    number = 0 if first.chosen else 1
    candidates = list(first.candidates)
    candidates[number] = replace(candidates[number], **changes)
    return trajectory.with_steps((replace(first, candidates=tuple(candidates)), *rest))


@pytest.fixture
def mixed(tmp_path):
    """A dataset of two shards, of which the second alone has plans."""
    return Dataset(write(tmp_path / "mixed", [PLAIN, WEIGHED], shard_steps=5))


def test_a_step_holds_its_plans_and_the_dreams_of_the_chosen_one_once():
    random = np.random.default_rng(0)
    plans = tuple(fake_plan(random, num_dreams=2) for _ in range(3))
    step = fake_step().with_plans(plans, chosen=1)
    assert step.plans == plans
    assert step.dreams is plans[1].dreams
    assert [len(plan.dreams) for plan in step.candidates] == [2, 0, 2]
    assert step.every_dream == (*plans[1].dreams, *plans[0].dreams, *plans[2].dreams)
    assert step.proposal == plans[1].dreams[0].action
    assert fake_step().with_plans([replace(plan, dreams=()) for plan in plans], 2).proposal == plans[2].action
    bare = step.with_dreams(plans[0].dreams)
    assert (bare.plans, bare.chosen, bare.dreams) == ((), 0, plans[0].dreams)


@pytest.mark.parametrize(
    ("told", "kept"),
    [({}, False), ({"votes": 4}, True), ({"score": 0.0}, True), ({"judgement": "9 to go"}, True)],
)
def test_a_plan_alone_is_kept_where_there_is_more_to_tell_than_its_dreams(told, kept):
    dreams = fake_step(num_dreams=1).dreams
    step = fake_step().with_plans([Plan(thought="1. Go.", action=Action.press("use"), dreams=dreams, **told)])
    assert step.dreams == dreams
    assert bool(step.candidates) == kept


def test_plans_that_contradict_their_step_are_refused():
    plan, dream = Plan(thought=None, action=Action()), Dream(thought=None, action=Action())
    for bad, message in (
        ({"candidates": (plan,), "chosen": 1}, "step 0: chosen=1, and it has 1 candidates"),
        ({"chosen": 1}, "it has 0 candidates"),
        ({"candidates": (plan,), "chosen": -1}, "chosen=-1"),
        ({"candidates": (replace(plan, dreams=(dream,)),)}, "candidate 0 has dreams of its own.*with_plans"),
    ):
        with pytest.raises(RigError, match=message):
            replace(fake_step(), **bad)


def test_what_has_no_plans_has_no_columns_for_them(mixed):
    names = [pq.read_schema(steps_file(mixed, number)).names for number in (0, 1)]
    assert names[1] == SCHEMA.names[:-1]
    assert names[0] == SCHEMA.names[:-3]
    assert names[1][-2:] == ["candidates", "chosen"]


def test_shards_with_and_without_plans_are_read_as_one(mixed):
    for found, wanted in zip(mixed, (PLAIN, WEIGHED), strict=True):
        assert_same(found, wanted)
    table = mixed.table()
    assert table.num_rows == 10
    assert [len(plans) for plans in table.column("candidates").to_pylist()] == [0] * 5 + [3] * 5
    assert mixed.table(["chosen"]).column("chosen").to_pylist() == [0] * 5 + [step.chosen for step in WEIGHED.steps]
    mixed.verify()


def test_every_frame_of_every_plan_is_stored_once(tmp_path):
    again = replace(WEIGHED, id="again")
    dataset = Dataset(write(tmp_path / "set", [WEIGHED, again]))
    shown = {
        frame.tobytes()
        for step in WEIGHED.steps
        for frame in (step.frame, step.next_frame, *(f for d in step.every_dream for f in (d.frame, d.real_frame)))
    }
    assert len(shown) == 6 + 5 * 3 * 2 * 2
    assert dataset.manifest.counts["frames"] == len(shown)


def test_training_sees_the_frames_and_the_codes_of_every_plan(mixed):
    banked = mixed.with_frames(load_frames(mixed, progress=False))["fake-2"]
    assert_same(tuple(banked.steps), tuple(WEIGHED.steps))
    cache = CodesCache(mixed, "another")
    cache.fill(lambda frames: frames.reshape(len(frames), -1)[:, :3].astype(np.uint16), progress=False)
    for step, wanted in zip(mixed.with_codes(cache)["fake-2"].steps, WEIGHED.steps, strict=True):
        for dream, other in zip(step.every_dream, wanted.every_dream, strict=True):
            assert dream.codes.tolist() == other.frame.ravel()[:3].tolist()
            assert dream.real_codes.tolist() == other.real_frame.ravel()[:3].tolist()


def test_codes_of_a_plan_need_a_tokenizer(tmp_path):
    codes = np.zeros(4, np.uint16)
    dreams = tuple(replace(dream, codes=codes) for dream in WEIGHED.steps[0].every_dream[:1])
    coded = changed(WEIGHED, dreams=dreams)
    with pytest.raises(DatasetError, match="names no tokenizer"):
        write(tmp_path / "set", [coded])
    assert_same(Dataset(write(tmp_path / "named", [coded], info_for(tokenizer=TOKENIZER)))[0], coded)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score": float("nan")}, "fake-2'.*step 0.*'score'.*nan.*finite"),
        ({"votes": 1.5}, "'votes'.*1.5.*whole number"),
        ({"judgement": 9}, "'judgement'.*9.*text"),
        ({"votes": 2**40}, "'candidates'"),
    ],
)
def test_a_plan_that_cannot_be_given_back_is_refused(tmp_path, changes, message):
    bad = changed(WEIGHED, **changes)
    with DatasetWriter(tmp_path / "set", info_for()) as writer:
        with pytest.raises(DatasetError, match=message):
            writer.append(bad)
        writer.append(PLAIN)
    assert Dataset(tmp_path / "set").ids == [PLAIN.id]
    with pytest.raises(DatasetError, match=message):
        refuse_unstorable(bad, info_for())


def spoilt(table, **columns):
    for name, values in columns.items():
        number = table.schema.get_field_index(name)
        field = table.schema.field(name)
        table = table.set_column(number, field, pa.array(values(table.column(name).to_pylist()), field.type))
    return table


def first_plan(rows, **changes):
    plans = [dict(plan) for plan in rows[0]]
    plans[0].update(changes)
    return [plans, *rows[1:]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (partial(spoilt, chosen=lambda rows: [7, *rows[1:]]), "chosen=7, and it has 3 candidates"),
        (partial(spoilt, candidates=partial(first_plan, action="fly")), "fly"),
        (partial(spoilt, candidates=partial(first_plan, score=float("inf"))), "its score inf"),
        (partial(spoilt, candidates=partial(first_plan, votes=None)), "no votes"),
        (lambda table: table.drop_columns(["chosen"]), "lacks the columns chosen"),
    ],
)
def test_spoilt_plans_are_named_with_their_row(tmp_path, monkeypatch, spoil, message):
    dataset = Dataset(write(tmp_path / "set", [WEIGHED]))
    path = steps_file(dataset)
    pq.write_table(spoil(pq.read_table(path)), path)
    monkeypatch.setattr("rig.data.shards.ShardReader._check", lambda *_: None)
    monkeypatch.setattr("rig.data.manifest.Shard.faults", lambda *_: ())
    with pytest.raises(DatasetError, match=message) as refused:
        list(Dataset(dataset.path))
    assert str(path) in str(refused.value)


def test_frames_of_every_plan_are_brought_to_one_size():
    step = Fitted((16, 16)).step(WEIGHED.steps[0])
    assert {dream.frame.shape for dream in step.every_dream} == {(16, 16, 3)}
    assert len(step.every_dream) == 6


def test_the_summary_counts_decisions_among_plans(mixed):
    """By hand: two candidates, of which the one with fewer votes was chosen, beside two whose proposals all agreed."""
    plans = [Plan(thought=None, action=Action.press(key), votes=votes) for key, votes in (("use", 3), ("sleep", 1))]
    steps = [
        fake_step(size=8).with_plans(plans, 1),
        fake_step(size=8, index=1).with_plans([replace(plans[0], votes=4)]),
        fake_step(size=8, index=2).with_plans([replace(plans[0], votes=4)]),
        fake_step(size=8, index=3),
    ]
    with DatasetWriter(mixed.path.parent / "counted", info_for()) as writer:
        writer.append(PLAIN.with_steps(tuple(steps)))
    found = summary(Dataset(mixed.path.parent / "counted"))["plans"]
    assert found == {"steps_by_plans": {"0": 1, "1": 2, "2": 1}, "dreams_of_others": 0, "against_the_votes": 1}
    assert summary(mixed)["plans"]["dreams_of_others"] == 5 * 2 * 2
