"""`rig data dedupe`: what is the same goes, what differs in anything that is learned stays, and the first one stays."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_data_roundtrip import assert_same, info_for, write

from rig.actions import NOOP
from rig.data import Dataset
from rig.errors import DatasetError
from rig.records import Review, fake_action, fake_trajectory
from rig.stages.deduping import EXACT, NEAR, dedupe
from rig.stages.likeness import differing_bits, perceptual_hashes
from rig.stages.reshaping_config import HASH_BITS, DedupeConfig

SIZE = 32


def smooth(seed, size=SIZE):
    """Return a frame of a few large areas, as worlds show them, and not of noise."""
    areas = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(areas).resize((size, size), Image.Resampling.BICUBIC))


def episode(seed, length=4):
    """Return an episode of smooth frames, each step's next frame the next step's."""
    steps = [
        replace(step, frame=smooth(100 * seed + step.index)) for step in fake_trajectory(seed, length=length).steps
    ]
    after = [*(step.frame for step in steps[1:]), smooth(100 * seed + 99)]
    return replace(
        fake_trajectory(seed), steps=[replace(step, next_frame=one) for step, one in zip(steps, after, strict=True)]
    )


def copy_of(trajectory, name, change=lambda step: step):
    return replace(trajectory, id=name, steps=[change(step) for step in trajectory.steps])


def compressed(frame, quality=85):
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def pressed(step):
    return replace(step, frame=compressed(step.frame), next_frame=compressed(step.next_frame))


def deduped(tmp_path, trajectories, **config):
    """Return what is left of trajectories, read back, and the report."""
    number = len(list(tmp_path.iterdir()))
    source = write(tmp_path / f"source-{number}", trajectories, info_for(size=SIZE), shard_steps=6)
    found = dedupe(source, DedupeConfig(**config), tmp_path / f"out-{number}")
    left = Dataset(tmp_path / f"out-{number}")
    left.verify()
    assert found["kept"] == {"trajectories": len(left), "steps": left.num_steps}
    for count in ("trajectories", "steps"):
        assert found["kept"][count] + found["dropped"][count] == Dataset(source).manifest.counts[count]
    for one in left:
        before = next(each for each in trajectories if each.id == one.id)
        places = {step.index: step for step in before.steps}
        for step in one.steps:
            assert_same(step, places[step.index])
    return left, found


def test_a_trajectory_that_is_another_ones_copy_goes_and_is_named(tmp_path):
    one, other = episode(1), episode(2)
    left, found = deduped(tmp_path, [one, other, copy_of(one, "again"), copy_of(other, "once more")])
    assert left.ids == [one.id, other.id]
    assert found["dropped_by"] == {EXACT: {"trajectories": 2, "steps": 8}}
    assert found["same"][0] == {"trajectory": "again", "steps": 4, "near": 0, "like": one.id}
    assert [row["like"] for row in found["same"]] == [one.id, other.id]


def learned_otherwise(step):
    """Yield `step` with each thing changed that a network learns of it."""
    random = np.random.default_rng(0)
    action = next(found for _ in range(99) if (found := fake_action(random)) not in (step.action, NOOP))
    (dream,) = fake_trajectory(0, size=SIZE, num_dreams=1).steps[0].dreams
    yield replace(step, instruction=f"{step.instruction}, quickly")
    yield replace(step, previous_action=action)
    yield replace(step, action=action)
    yield replace(step, thought="1. I wait.")
    yield replace(step, thought=None)
    yield replace(step, actor="noise")
    yield replace(step, review=Review(thought="No.", action=step.action))
    yield replace(step, next_frame=None)
    yield replace(step, next_frame=smooth(12345))
    yield replace(step, frame=smooth(12346))
    yield replace(step, dreams=(replace(dream, frame=smooth(1), real_frame=smooth(2)),))
    yield replace(step, dreams=(replace(dream, frame=smooth(1), real_frame=None),))
    yield replace(step, dreams=(replace(dream, frame=smooth(1), real_frame=None, thought=None),))


@pytest.mark.parametrize("near", [None, 8])
def test_whatever_is_learned_and_differs_is_kept(tmp_path, near):
    one = episode(1, length=1)
    variants = [
        copy_of(one, f"other-{n}", lambda _, s=step: s) for n, step in enumerate(learned_otherwise(one.steps[0]))
    ]
    left, found = deduped(tmp_path, [one, *variants, copy_of(one, "again")], near=near, keep="steps")
    assert left.ids == [one.id, *(variant.id for variant in variants)]
    assert found["dropped"]["steps"] == 1


def test_what_is_not_learned_makes_no_difference(tmp_path):
    one = episode(1)
    same = replace(copy_of(one, "again", lambda step: replace(step, reward=7.0, privileged={"x": 1})), seed=99)
    assert deduped(tmp_path, [one, same])[0].ids == [one.id]


def test_a_copy_through_a_lossy_codec_is_near_and_only_with_a_threshold(tmp_path):
    one, other = episode(1), episode(2)
    lossy = copy_of(one, "lossy", pressed)
    assert len(deduped(tmp_path, [one, other, lossy])[0]) == 3
    assert len(deduped(tmp_path, [one, other, lossy], near=0)[0]) == 3
    left, found = deduped(tmp_path, [one, other, lossy], near=24)
    assert left.ids == [one.id, other.id]
    assert found["same"] == [{"trajectory": "lossy", "steps": 4, "near": 4, "like": one.id}]
    assert found["dropped_by"] == {NEAR: {"trajectories": 1, "steps": 4}}


def test_a_share_of_an_episode_may_be_enough(tmp_path):
    one, other = episode(1), episode(2)
    half = replace(one, id="half", steps=[*one.steps[:2], *(replace(step, thought="1. No.") for step in one.steps[2:])])
    assert len(deduped(tmp_path, [one, other, half])[0]) == 3
    left, found = deduped(tmp_path, [one, other, half], share=0.5)
    assert left.ids == [one.id, other.id]
    assert found["same"] == [{"trajectory": "half", "steps": 4, "near": 0, "like": one.id}]
    assert len(deduped(tmp_path, [one, other, half], share=0.51)[0]) == 3


def still(trajectory):
    """Return a trajectory in which nothing ever happens."""
    first = replace(trajectory.steps[0], previous_action=NOOP, action=NOOP, next_frame=trajectory.steps[0].frame)
    return trajectory.with_steps([replace(first, index=index) for index in range(4)])


def test_single_steps_go_only_where_that_is_asked_for_and_keep_their_numbers(tmp_path):
    idle, moving = still(episode(1)), episode(2)
    left, found = deduped(tmp_path, [idle, moving])
    assert (left.num_steps, found["frames_again"]) == (8, 3)
    left, found = deduped(tmp_path, [idle, moving], keep="steps")
    assert [step.index for step in left[idle.id].steps] == [0]
    assert [step.index for step in left[moving.id].steps] == [0, 1, 2, 3]
    assert found["same"] == [{"trajectory": idle.id, "steps": 3, "near": 0, "like": idle.id}]
    assert found["dropped"] == {"trajectories": 0, "steps": 3}


def test_the_same_frame_with_another_action_is_no_duplicate_and_is_counted(tmp_path):
    one = episode(1)
    other = copy_of(one, "other", lambda step: replace(step, instruction="something else"))
    left, found = deduped(tmp_path, [one, other], keep="steps")
    assert (left.num_steps, found["frames_again"]) == (8, 4)


def test_branches_keep_their_sets(tmp_path):
    source = write(tmp_path / "source", [episode(1)], info_for(size=SIZE, stage="branch"))
    with pytest.raises(DatasetError, match="counterfactual sets"):
        dedupe(source, DedupeConfig(keep="steps"), tmp_path / "out")
    dedupe(source, DedupeConfig(), tmp_path / "out")


def test_of_many_kept_steps_the_nearest_is_found(tmp_path):
    """As one would find it by comparing all with all: the first of each that is within the threshold stays."""
    base = episode(1, length=1)
    random = np.random.default_rng(0)
    frames = [np.clip(smooth(n % 3).astype(int) + random.integers(-9, 10), 0, 255).astype(np.uint8) for n in range(24)]
    trajectories = [copy_of(base, f"n{n}", lambda step, f=f: replace(step, frame=f)) for n, f in enumerate(frames)]
    hashes, kept = perceptual_hashes(np.stack(frames)), []
    for number, frame in enumerate(frames):
        if not any(differing_bits(hashes[number], hashes[k]) <= 20 or (frame == frames[k]).all() for k in kept):
            kept.append(number)
    assert 2 < len(kept) < 20
    assert deduped(tmp_path, trajectories, near=20, keep="steps")[0].ids == [f"n{number}" for number in kept]


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_hashes_are_of_the_frame_alone_in_any_size_and_company(height, width, seed):
    frames = np.random.default_rng(seed).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    hashes = perceptual_hashes(frames)
    assert (hashes.shape, hashes.dtype) == ((3, HASH_BITS // 64), np.uint64)
    for frame, found in zip(frames, hashes, strict=True):
        assert np.array_equal(perceptual_hashes(frame[None])[0], found)


def test_hashes_of_what_looks_alike_are_near_and_of_what_does_not_are_far():
    frames = np.stack([smooth(seed, 144) for seed in range(12)])
    hashes = perceptual_hashes(frames)
    apart = differing_bits(hashes[:, None], hashes[None])[np.triu_indices(12, 1)]
    alike = differing_bits(perceptual_hashes(np.stack([compressed(frame) for frame in frames])), hashes)
    brighter = perceptual_hashes(np.clip(frames.astype(int) + 6, 0, 255).astype(np.uint8))
    assert alike.max() <= 24 < 100 < apart.min()
    assert differing_bits(brighter, hashes).max() <= 24
    assert not perceptual_hashes(np.full((1, 9, 9, 3), 77, np.uint8)).any(), "an even ground has no bit, nor has noise"
    noise = 100 + np.random.default_rng(0).integers(-2, 3, (1, 144, 144, 3))
    assert not perceptual_hashes(noise.astype(np.uint8)).any()
