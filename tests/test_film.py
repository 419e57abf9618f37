"""Videos of episodes, read back by PyAV: a picture for every step, its frame and its dreams where they belong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rig.actions import CRAFTER, Action
from rig.cli.main import main
from rig.data import DatasetInfo, DatasetWriter
from rig.data.video import video_frames
from rig.errors import RigError
from rig.records import Plan, fake_trajectory
from rig.viewer import film

pytest.importorskip("av")


def flat(trajectory, shade):
    """Return the episode with frames of one shade, which video keeps, and dreams of another."""
    steps = []
    for step in trajectory.steps:
        frame = np.full_like(step.frame, shade)
        dreams = tuple(replace(dream, frame=np.full_like(step.frame, 255 - shade)) for dream in step.dreams)
        steps.append(replace(step, frame=frame, dreams=dreams))
    return replace(trajectory, steps=tuple(steps))


def shade_at(picture, left, top, side):
    middle = picture[top + side // 4 : top + side // 2, left + side // 4 : left + side // 2]
    return float(middle.mean())


def test_every_step_is_a_picture_with_its_frame_and_its_dream(tmp_path):
    episode = flat(fake_trajectory(1, length=3, num_dreams=1), 40)
    count = film.write_film(tmp_path / "a.mp4", [episode])
    read = video_frames(tmp_path / "a.mp4")
    assert count == len(read) == 3 + film.END_STEPS
    assert read[0].shape == (film.HEIGHT, film.WIDTH, 3)
    for picture in list(read)[:3]:
        assert shade_at(picture, film.LEFT, film.TOP, film.SIDE) == pytest.approx(40, abs=4)
        assert shade_at(picture, film.DREAMS_LEFT, film.TOP + 28, film.DREAM_SIDE) == pytest.approx(215, abs=4)


def test_of_several_plans_the_last_dream_of_each_is_shown_with_what_was_made_of_it():
    step = fake_trajectory(2, length=1, num_dreams=2).steps[0]
    first, second = Action.press("use"), Action.press("move_left")
    plans = (
        Plan(thought=None, action=first, dreams=step.dreams, score=-1.5),
        Plan(thought=None, action=second, dreams=step.dreams[:1], judgement="2 lost"),
        Plan(thought=None, action=Action.press("sleep")),
    )
    shown = film.slots(step.with_plans(plans, 1), CRAFTER.name)
    assert [(slot.said, slot.chosen) for slot in shown] == [("use  -1.5", False), ("move left  2 lost", True)]
    assert np.array_equal(shown[0].frame, step.dreams[1].frame)
    alone = film.slots(step, CRAFTER.name)
    assert len(alone) == 2
    assert all(slot.said.startswith(f"dream {number}: ") and slot.chosen for number, slot in enumerate(alone, 1))


def test_texts_of_any_length_and_frames_of_any_shape_are_drawn():
    episode = fake_trajectory(3, length=1, num_dreams=7)
    step = episode.steps[0]
    wide = np.zeros((36, 64, 3), np.uint8)
    dreams = tuple(replace(dream, thought="tree " * 9999) for dream in step.dreams)
    odd = replace(step, frame=wide, next_frame=None, thought="x" * 9999, instruction="é" * 999, dreams=dreams)
    drawn = list(film.pictures(replace(episode, steps=(odd,))))
    assert {picture.shape for picture in drawn} == {(film.HEIGHT, film.WIDTH, 3)}
    assert list(film.pictures(replace(episode, steps=()))) == []


@pytest.mark.parametrize(
    ("name", "rate", "error"),
    [("a.avi", 2, "ends with .mp4"), ("a.mp4", 0, "0 steps"), ("a.mp4", 99, "60 at the most")],
)
def test_what_cannot_be_written_is_named(tmp_path, name, rate, error):
    with pytest.raises(RigError, match=error):
        film.write_film(tmp_path / name, [fake_trajectory(0, length=1)], steps_a_second=rate)
    assert list(tmp_path.iterdir()) == []


def test_verbs_write_one_beside_the_page(tmp_path, capsys):
    data, out, video = tmp_path / "data", tmp_path / "page.html", tmp_path / "film.mp4"
    with DatasetWriter(
        data, DatasetInfo(name="d", stage="s2", environment="crafter", action_space=CRAFTER, frame_size=(32, 32))
    ) as writer:
        writer.append(fake_trajectory(0, length=2))
    assert main(["view", "--data", str(data), "--out", str(out), "--video", str(video)]) == 0
    assert f"{video}: {2 + film.END_STEPS} pictures" in capsys.readouterr().out
    assert len(video_frames(video)) == 2 + film.END_STEPS
    played = tmp_path / "played.mp4"
    words = ("play", "--agent", "teacher:crafter", "--tasks", "place_table/tool", "--out", str(tmp_path / "p.html"))
    assert main([*words, "--video", str(played), "--quiet"]) == 0
    assert len(video_frames(played)) == 1 + film.END_STEPS
    assert main([*words, "--video", "wrong.avi"]) == 2
    assert "ends with .mp4" in capsys.readouterr().err
    assert not Path("wrong.avi").exists()
