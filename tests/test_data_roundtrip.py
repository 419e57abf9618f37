"""A trajectory comes back from disk as it went there, every field and every pixel."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rig.actions import CRAFTER, MINERL, Action, ActionSpace, Camera
from rig.data import Dataset, DatasetInfo, DatasetWriter
from rig.errors import DatasetError
from rig.lazy import Lazy
from rig.records import Lineage, fake_frame, fake_trajectory

TOKENIZER = "vq-0123"


def info_for(space=CRAFTER, size=8, **changes):
    fixed = {
        "name": "fakes",
        "stage": "s1",
        "environment": "crafter",
        "config": {"episodes": 4, "teacher": {"seed": 1}},
    }
    return DatasetInfo(**{**fixed, "action_space": space, "frame_size": (size, size), **changes})


def write(path: Path, trajectories, info=None, **options):
    with DatasetWriter(path, info or info_for(), **options) as writer:
        for trajectory in trajectories:
            writer.append(trajectory)
    return path


def assert_same(found, wanted):
    assert type(found) is type(wanted) or all(isinstance(one, tuple | Lazy) for one in (found, wanted))
    if is_dataclass(wanted):
        for field in fields(wanted):
            if field.name == "earlier_actions" and not wanted.earlier_actions:
                continue  # a step that does not know them, as an importer's, has them from the steps before it
            assert_same(getattr(found, field.name), getattr(wanted, field.name))
    elif isinstance(wanted, np.ndarray):
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
    elif isinstance(wanted, tuple | Lazy):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    else:
        assert found == wanted


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
thoughts = st.none() | texts
codes = st.none() | st.integers(0, 2**16).map(lambda seed: np.random.default_rng(seed).integers(0, 2**16, 6, np.uint16))
facts = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
        max_leaves=4,
    ),
    max_size=2,
)
maybe = st.booleans()


@st.composite
def varied_steps(draw, steps):
    for step in steps:
        dreams = tuple(
            replace(
                dream,
                thought=draw(thoughts),
                codes=draw(codes),
                real_codes=draw(codes),
                frame=dream.frame if draw(maybe) else None,
                real_frame=dream.real_frame if draw(maybe) else None,
                privileged=draw(facts),
            )
            for dream in step.dreams
        )
        candidates = tuple(
            replace(
                plan,
                thought=draw(thoughts),
                votes=draw(st.integers(0, 9)),
                score=draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)),
                judgement=draw(thoughts),
                dreams=tuple(replace(dream, codes=draw(codes), real_codes=draw(codes)) for dream in plan.dreams),
            )
            for plan in step.candidates
        )
        yield replace(
            step.with_next_codes(draw(codes)),
            thought=draw(thoughts),
            candidates=candidates,
            instruction=draw(texts),
            next_frame=step.next_frame if draw(maybe) else None,
            dreams=dreams,
            review=replace(step.review, thought=draw(thoughts)) if step.review and draw(maybe) else None,
            actor=draw(st.sampled_from(["teacher", "noise", "policy"])),
            reward=draw(st.floats(allow_nan=False, allow_infinity=False)),
            privileged=draw(facts),
        )


@st.composite
def trajectories(draw, space):
    length, dreams = draw(st.integers(1, 4)), draw(st.integers(0, 2))
    fixed = {"length": length, "space": space, "size": 8, "num_dreams": dreams, "num_plans": draw(st.integers(0, 3))}
    plain = fake_trajectory(draw(st.integers(0, 99)), **fixed)
    return replace(
        plain,
        seed=draw(st.integers(-(2**63), 2**63 - 1)),
        task=draw(texts),
        setting=draw(texts),
        success=draw(maybe),
        samples=draw(st.integers(0, 2**40)),
        steps=tuple(draw(varied_steps(plain.steps))),
        lineage=Lineage(stage=draw(texts), actor=draw(texts), annotator=draw(texts), prompt=draw(texts), parent="x"),
    )


@pytest.mark.parametrize("space", [CRAFTER, MINERL], ids=lambda space: space.name)
def test_write_then_read_is_the_identity(space, tmp_path_factory):
    @settings(max_examples=10)
    @given(st.lists(trajectories(space), min_size=1, max_size=3))
    def check(several):
        several = [replace(one, id=f"t{number}") for number, one in enumerate(several)]
        path = tmp_path_factory.mktemp("data") / "set"
        write(path, several, info_for(space, tokenizer=TOKENIZER), shard_steps=4)
        dataset = Dataset(path)
        for found, wanted in zip(dataset, several, strict=True):
            assert_same(found, wanted)
        assert_same(dataset[several[-1].id], several[-1])
        dataset.verify()

    check()


def test_a_frame_is_stored_once_and_neighbours_share_it(tmp_path):
    trajectory = fake_trajectory(1, length=5, size=8, num_dreams=2)
    dataset = Dataset(write(tmp_path / "set", [trajectory, replace(trajectory, id="again")]))
    assert dataset.manifest.counts == {"trajectories": 2, "steps": 10, "frames": 6 + 5 * 2 * 2}
    steps = dataset["again"].steps
    first, second = steps[:2]
    assert first.next_frame is second.frame
    assert not first.frame.flags.writeable


def test_the_content_hash_is_that_of_rows_and_pixels(tmp_path):
    one = fake_trajectory(1, length=1, size=8)
    other = one.with_steps((replace(one.steps[0], frame=one.steps[0].frame ^ 1),))
    hashes = [
        Dataset(write(tmp_path / name, [made])).content_hash
        for name, made in zip("abc", (one, other, one), strict=True)
    ]
    assert hashes[0] == hashes[2] != hashes[1]


def test_frames_fill_several_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("rig.data.frames.GROUP_BYTES", 3 * 8 * 8 * 3)
    wanted = [fake_trajectory(seed, length=7, size=8) for seed in range(4)]
    dataset = Dataset(write(tmp_path / "set", wanted))
    for number in (3, 0, 2, 1):
        assert_same(dataset[number], wanted[number])


def test_the_manifest_comes_back_with_space_config_and_parents(tmp_path):
    space = ActionSpace(name="mine", keys=("a", "b", "c"), camera=Camera(step=10, limit=90))
    first = Dataset(write(tmp_path / "one", [fake_trajectory(1, size=8)]))
    trajectory = replace(fake_trajectory(2, size=8, space=space), action_space="mine")
    info = info_for(space, name="two", parent=first.as_parent())
    second = Dataset(write(tmp_path / "two", [trajectory], info))
    assert second.info == info
    assert_same(second[0], trajectory)
    third = info_for(name="three", parent=second.as_parent())
    assert [parent.name for parent in third.parent.chain()] == ["two", "fakes"]
    assert third.parent.chain()[1].content_hash == first.content_hash != second.content_hash


def changed(**changes):
    trajectory = fake_trajectory(1, size=8)
    return trajectory.with_steps((*trajectory.steps[:2], replace(trajectory.steps[2], **changes)))


def coded(codes):
    trajectory = fake_trajectory(1, size=8)
    return trajectory.with_steps((*trajectory.steps[:2], trajectory.steps[2].with_next_codes(codes)))


@pytest.mark.parametrize(
    ("trajectory", "message"),
    [
        (changed(privileged={"at": (1, 2)}), "step 2: .*use lists, not tuples"),
        (changed(privileged={"at": np.int64(1)}), "step 2: .*not JSON"),
        (changed(privileged={"at": float("nan")}), "step 2: .*not JSON"),
        (changed(action=MINERL.parse("attack")), "step 2: 'attack' is not a key of 'crafter'"),
        (
            changed(frame=np.zeros((4, 8, 3), np.uint8)),
            r"step 2: a frame is uint8 \[4, 8, 3\].*\[8, 8, 3\].*frame_size",
        ),
        (changed(frame=np.zeros((8, 8, 3))), "step 2: a frame is float64"),
        (coded(np.zeros(4, np.int64)), "names no tokenizer"),
        (changed(reward=None), "'reward' cannot be stored"),
        (changed(reward=float("nan")), "step 2: field 'reward' cannot be stored: it is nan"),
        (changed(reward=True), "step 2: field 'reward' cannot be stored: it is True, of type bool"),
        (changed(index=1.5), "step 1.5: field 'index' cannot be stored: it is 1.5, of type float.*a whole number"),
        (changed(instruction=b"x"), "step 2: field 'instruction' cannot be stored: it is b'x'"),
        (changed(action=Action(camera=(5.0, 10.0))), r"step 2: camera \(5.0, 10.0\) is not of whole numbers"),
        (changed(previous_action=Action(camera=(True, 0))), r"step 2: camera \(True, 0\) is not of whole"),
        (changed(action=(5, 10)), "step 2: "),
        (replace(fake_trajectory(1, size=8), success=1), "'success' cannot be stored.*true or false"),
        (replace(fake_trajectory(1, size=8), samples=1.0), "'samples' cannot be stored.*a whole number"),
        (changed(actor=None), "'actor' cannot be stored"),
        (changed(thought="\ud800"), "'thought' cannot be stored"),
        (replace(fake_trajectory(1, size=8), seed=2**63), "'seed' cannot be stored"),
        (fake_trajectory(1, size=8).with_steps(()), "no steps"),
        (replace(fake_trajectory(1, size=8), environment="other"), "environment 'other', and the dataset 'crafter'"),
        (fake_trajectory(1, size=8, space=MINERL), "action space 'minerl'"),
        (fake_trajectory(0, size=8), "'fake-0' is already in"),
    ],
)
def test_what_cannot_be_given_back_is_refused_and_leaves_nothing(tmp_path, trajectory, message):
    good = [fake_trajectory(0, size=8), fake_trajectory(7, size=8)]
    with DatasetWriter(tmp_path / "set", info_for()) as writer:
        if trajectory.id not in (one.id for one in good):
            with pytest.raises(DatasetError, match=message):
                writer.append(trajectory)
        writer.append(good[0])
        with pytest.raises(DatasetError, match=message):
            writer.append(trajectory)
        writer.append(good[1])
    dataset = Dataset(tmp_path / "set")
    assert dataset.manifest.counts["frames"] == 10
    for found, wanted in zip(dataset, good, strict=True):
        assert_same(found, wanted)


def test_codes_of_another_type_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="VQ codes are int64"):
        write(tmp_path / "set", [coded(np.zeros(4, np.int64))], info_for(tokenizer=TOKENIZER))
    assert list((tmp_path / "set" / "shards").iterdir()) == []


def test_a_frame_that_its_maker_reuses_is_stored_as_it_was(tmp_path):
    trajectory = fake_trajectory(1, length=1, size=8)
    frame = trajectory.steps[0].frame.copy()
    with DatasetWriter(tmp_path / "set", info_for()) as writer:
        writer.append(trajectory)
        trajectory.steps[0].frame[:] = fake_frame(np.random.default_rng(9), 8)
    assert np.array_equal(Dataset(tmp_path / "set")[0].steps[0].frame, frame)
