"""What is shown of a frame, moved and mirrored, is labelled as it was; the display stays where it is."""

import numpy as np
import pytest

from rig.train.augmentation import UNKNOWN, augmented

GRID, SIDE = 8, 4
DISPLAY = (30, 50, 59)
DARKEST = 40


def frames_of(labels):
    """Return frames in which each patch is a slope from left to right of a colour that its label says."""
    slope = np.arange(SIDE, dtype=np.uint8)
    rows = np.kron(labels.reshape(-1, GRID, GRID), np.ones((1, SIDE, SIDE), np.int64)) * SIDE + DARKEST
    return (rows + np.tile(slope, GRID))[..., None].repeat(3, -1).astype(np.uint8)


@pytest.fixture(scope="module")
def shown():
    """Return what 64 frames of 30 labels are shown as; each patch's own label is told by its colour."""
    labels = np.arange(GRID**2).reshape(1, -1).repeat(64, 0) % 30
    frames = frames_of(labels)
    return labels, frames, *augmented(frames, labels, DISPLAY, (3, 1))


def unlit(frame, moved):
    """Return the levels of a frame before they were lit, by the display, which is known to have stayed."""
    at = [(SIDE * (patch // GRID), SIDE * (patch % GRID) + column) for patch in DISPLAY for column in range(SIDE)]
    before, after = (np.array([one[place][0] for place in at], float) for one in (frame, moved))
    slope, shift = np.polyfit(before, after, 1)
    return (moved[..., 0] - shift) / slope


def test_a_patch_is_called_what_it_shows_wherever_it_is(shown):
    labels, frames, moved, told = shown
    seen = set()
    for frame, label, image, name in zip(frames, labels, moved, told, strict=True):
        levels = unlit(frame, image)
        middle = levels.reshape(GRID, SIDE, GRID, SIDE).mean((1, 3)).reshape(-1)
        known = name != UNKNOWN
        found = np.round((middle - DARKEST - (SIDE - 1) / 2) / SIDE)
        assert np.array_equal(found[known], name[known])
        assert np.array_equal(name[list(DISPLAY)], label[list(DISPLAY)])
        seen.add((name[0], bool(levels[0, 1] < levels[0, 0])))
    assert len({at for at, _ in seen}) > 10, "they are moved by different ways"
    assert {mirrored for _, mirrored in seen} == {False, True}


def test_the_display_is_shown_nowhere_else_as_if_it_were_known(shown):
    """Where it was moved to is not known, however its labels are called elsewhere."""
    labels, _, _, told = shown
    given = np.bincount(np.delete(labels[0], DISPLAY), minlength=30)
    for name in told:
        elsewhere = np.delete(name, DISPLAY)
        assert (np.bincount(elsewhere[elsewhere != UNKNOWN], minlength=30) <= given).all()
        assert (name == UNKNOWN).sum() <= len(DISPLAY)


def test_what_is_given_stays_and_a_seed_says_what_is_shown(shown):
    labels, frames, moved, told = shown
    assert np.array_equal(frames, frames_of(labels))
    again, other = augmented(frames, labels, DISPLAY, (3, 1)), augmented(frames, labels, DISPLAY, (3, 2))
    assert np.array_equal(again[0], moved)
    assert np.array_equal(again[1], told)
    assert not np.array_equal(other[0], moved)
    assert moved.min() >= 0
    assert moved.max() <= 255
