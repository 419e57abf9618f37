"""The moving picture of a decision: the one that gained most, six seconds, from real worlds that are forked."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from rig.actions import Action
from rig.cli.main import main
from rig.envs import Split, make_world
from rig.errors import RigError
from rig.recipes.picture import FORMATS, HEIGHT, WIDTH, draw_moment, moments, most_telling
from rig.records import Dream, Lineage, Review, Step, Trajectory

TABLE, LEFT, STAY = Action.press("place_table"), Action.press("move_left"), Action()


def place_table_world():
    world = make_world("crafter")
    return world, world.episode_seeds(world.tasks["place_table"], "tool", Split.VALIDATION, 1)[0]


def episode_of(decisions):
    """Return a real episode of (plan, action), each with a dream and a review."""
    world, seed = place_table_world()
    frame, _ = world.reset(seed=seed, options={"task": "place_table", "setting": "tool"})
    steps = []
    for index, (plan, action) in enumerate(decisions):
        after, reward, *_ = world.act(action)
        steps.append(
            Step(
                index=index,
                frame=frame,
                instruction="place a table",
                action=action,
                next_frame=after,
                reward=reward,
                thought="1. I carry 4 wood. 2. I want 1 table.",
                dreams=(Dream(thought="1. I carry 4 wood. 2. I want 1 table.", action=plan, frame=frame),),
                review=Review(thought="1. The plan does nothing. " * 30, action=action, helped=plan != action),
            )
        )
        frame = after
    return Trajectory(
        id="made",
        environment="crafter",
        task="place_table",
        setting="tool",
        seed=seed,
        action_space="crafter",
        steps=tuple(steps),
        success=True,
        samples=1,
        lineage=Lineage(stage="live", actor="test"),
    )


def test_the_step_whose_review_gained_most_is_shown_beside_what_would_have_come_of_its_plan():
    episode = episode_of([(STAY, STAY), (LEFT, STAY), (STAY, TABLE)])
    world, _ = place_table_world()
    found = list(moments(world, episode))
    assert [moment.gain for moment in found] == [0, 0, 1]
    best = most_telling(world, episode)
    assert best.step.index == 2
    assert best.reviewed
    # The plan was to do nothing: another frame than that with the table, and no wood is spent in it.
    assert not np.array_equal(best.planned, best.step.next_frame)
    assert np.array_equal(found[0].planned, episode.steps[0].next_frame), "a plan that was kept is what came"


def test_a_kept_plan_is_shown_where_no_review_changed_anything():
    episode = episode_of([(STAY, STAY), (TABLE, TABLE)])
    moment = most_telling(place_table_world()[0], episode)
    assert not moment.reviewed


def test_an_episode_without_dreams_or_of_another_world_is_refused():
    episode = episode_of([(STAY, TABLE)])
    bare = episode.with_steps(tuple(replace(step, dreams=(), review=None) for step in episode.steps))
    with pytest.raises(RigError, match="nothing was dreamed"):
        most_telling(place_table_world()[0], bare)
    other = replace(episode.steps[0], frame=255 - episode.steps[0].frame)
    with pytest.raises(RigError, match="step 0 is another one"):
        most_telling(place_table_world()[0], episode.with_steps((other,)))


@pytest.mark.parametrize("ending", FORMATS)
def test_it_lasts_six_seconds_and_repeats_whatever_there_is_to_show(tmp_path, ending):
    episode = episode_of([(LEFT, STAY), (STAY, TABLE)])
    moment = next(iter(moments(place_table_world()[0], episode)))
    path = tmp_path / f"picture{ending}"
    draw_moment(path, episode, moment, "made, n = 1")
    picture = Image.open(path)
    assert picture.size == (WIDTH, HEIGHT)
    if ending == ".png":
        assert getattr(picture, "n_frames", 1) == 1
        return
    lengths = []
    for number in range(picture.n_frames):
        picture.seek(number)
        picture.load()
        lengths.append(picture.info["duration"])
    assert (len(lengths), sum(lengths)) == (8, 6000)
    assert picture.info["loop"] == 0


def test_each_part_comes_in_its_turn_and_stays(tmp_path):
    episode = episode_of([(LEFT, STAY), (STAY, TABLE)])
    draw_moment(tmp_path / "p.gif", episode, next(iter(moments(place_table_world()[0], episode))), "made")
    picture, filled = Image.open(tmp_path / "p.gif"), []
    for number in range(picture.n_frames):
        picture.seek(number)
        filled.append(int((np.asarray(picture.convert("L")) < 240).sum()))
    assert all(after > before + 500 for before, after in pairwise(filled[:6])), filled


def test_the_command_draws_an_agents_own_episode(tmp_path, made, capsys):
    out = tmp_path / "picture.gif"
    words = ["picture", "--agent", str(made.agent), "--tasks", "place_table/tool", "--dreams", "1", "--out", str(out)]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == out.stat().st_size > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--out": "p.mp4"}, r"p.mp4: a picture ends with one of .webp, .gif, .png"),
        ({"--tasks": "collect_wood"}, r"collect_wood/manual, collect_wood/tool are 2"),
        ({"--agent": "teacher:crafter"}, r"a teacher dreams nothing"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_anything_is_played(tmp_path, made, capsys, changes, said):
    flags = {"--agent": str(made.agent), "--tasks": "place_table/tool", "--out": str(tmp_path / "p.webp"), **changes}
    assert main(["picture", *[word for flag in flags.items() for word in flag]]) == 2
    assert said.replace("\\", "") in capsys.readouterr().err
