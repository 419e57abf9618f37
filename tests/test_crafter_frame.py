"""The expert for frames: it knows nothing that its student cannot know, and its thoughts say what it goes by."""

from dataclasses import replace

import numpy as np
import pytest

from rig.actions import NOOP, Action
from rig.annotators import CHECKERS, REASONERS
from rig.annotators.claims import split_clauses
from rig.annotators.crafter_words import CRAFTER, offset_of
from rig.envs import Split
from rig.envs.crafter.facts import HALF, View
from rig.envs.crafter.world import CrafterWorld
from rig.records import Step, remembered
from rig.teachers import TEACHERS
from rig.teachers.crafter_search import first_step, heading, search_goal
from rig.teachers.crafter_view import can_enter, gap_in

RIGHT, UP, USE = Action.press("move_right"), Action.press("move_up"), Action.press("use")
OPEN = {
    "view": ["." * 9] * 7,
    "creatures": [],
    "facing": [0, 1],
    "inventory": {"health": 9},
    "task": "explore",
    "samples": 0,
    "target": 16,
}


@pytest.fixture(scope="module")
def played():
    """Episodes of every task and setting: (steps, what was won, what is done here and with another far map)."""
    world, teacher = CrafterWorld(), TEACHERS.get("crafter-frame")()
    steps, won, blind = [], [], []
    for task, setting in world.tasks.variants():
        for seed in world.episode_seeds(task, setting, Split.VALIDATION, 2):
            frame, _ = world.reset(seed=seed, options={"task": task.name, "setting": setting})
            previous, earlier, done = NOOP, (), False
            while not done:
                action, facts = teacher.act(world), world.privileged()
                step = Step(index=0, frame=frame, instruction="", action=action, privileged=facts)
                steps.append(replace(step, previous_action=previous, earlier_actions=earlier))
                if len(steps) % 5 == 0:
                    blind.append((action, _elsewhere(world, teacher)))
                previous, earlier = action, remembered(previous, earlier)
                frame, _, terminated, truncated, info = world.act(action)
                done = terminated or truncated
            won.append(info["success"])
    return steps, won, blind


def _elsewhere(world, teacher):
    """Return what the teacher does where all that is out of view is other ground, and the world as it was."""
    state, (x, y) = world.save(), world.engine.player.pos
    ground, ids = world.engine.world._mat_map, world.engine.world._mat_ids
    seen = np.zeros(ground.shape, bool)
    seen[max(0, x - HALF[0]) : x + HALF[0] + 1, max(0, y - HALF[1]) : y + HALF[1] + 1] = True
    ground[~seen] = np.random.default_rng(0).choice([ids["tree"], ids["coal"], ids["water"]], ground.shape)[~seen]
    action = teacher.act(world)
    world.load(state)
    return action


def test_it_wins_nearly_as_often_as_who_sees_the_map(played):
    assert np.mean(played[1]) >= 0.8


def test_what_is_out_of_view_changes_nothing_that_it_does(played):
    assert len(played[2]) > 100
    assert all(action == other for action, other in played[2])


def test_every_clause_holds_and_says_what_is_gone_by(played):
    thoughts = REASONERS.get("crafter-frame")().reason(played[0])
    checker, said = CHECKERS.get("crafter")(), []
    for step, thought in zip(played[0], thoughts, strict=True):
        verdicts = checker.check(thought, step.privileged, step.action)
        assert all(verdict.holds is True for verdict in verdicts if verdict.kind != "went"), thought
        claims = {claim.kind: claim for claim in map(CRAFTER.read, split_clauses(thought))}
        said.append(set(claims))
        if "goal" in claims:
            way = first_step(View(step.privileged), offset_of(claims["goal"].get("place")))
            key = next(iter(step.action.keys))
            assert way == tuple(step.privileged["facing"]) if key in ("use", "place_stone") else key.startswith("move_")
    assert sum("went" in kinds for kinds in said) > 100
    assert all("goal" in kinds for kinds in said if "search" in kinds)
    laid = [step for step in played[0] if step.action == Action.press("place_stone") and "placed" in step.privileged]
    assert len(laid) >= 12
    for step in laid:
        gap, _ = gap_in(View(step.privileged))
        assert gap == tuple(step.privileged["facing"])
    assert sum("gap" in kinds for kinds in said) > 10
    assert sum("gap_ahead" in kinds for kinds in said) == len(laid)


def test_others_do_not_say_it(played):
    thoughts = REASONERS.get("crafter")().reason(played[0])
    kinds = {CRAFTER.read(clause).kind for thought in thoughts for clause in split_clauses(thought)}
    assert kinds.isdisjoint({"went", "goal"})


@pytest.mark.parametrize(
    ("executed", "way"),
    [
        ((), None),
        ((RIGHT,), None),
        ((RIGHT, RIGHT), (1, 0)),
        ((UP, RIGHT, USE, UP, UP), (0, -1)),
        ((RIGHT, Action.press("move_left")) * 4, None),
        ((*(NOOP,) * 8, RIGHT, RIGHT), None),
    ],
)
def test_the_heading_is_where_eight_actions_lead(executed, way):
    assert heading(executed) == way


def test_the_search_goes_on_and_round_what_is_in_the_way():
    assert search_goal(View(OPEN), (RIGHT, RIGHT)) == (4, 0)
    assert search_goal(View(OPEN), ()) == (0, 3), "where one looks, at first"
    wall = View(OPEN | {"view": ["." * 7 + "w" + "."] * 6 + ["." * 9]})
    assert search_goal(wall, (RIGHT, RIGHT)) == (4, 3)
    assert first_step(wall, (4, 3)) == (0, 1), "where ways tie it goes straight on"
    assert search_goal(View(OPEN | {"view": ["wwwwwwwww"] * 7}), ()) is None


def test_ore_is_looked_for_in_rock():
    rocky = View(OPEN | {"view": ["......sss"] * 7, "inventory": {"wood_pickaxe": 1}})
    assert search_goal(rocky, (), "tree") == (0, 3)
    assert search_goal(rocky, (), "coal")[0] == 4


def wall(*stones, facing=(1, 0), ground="."):
    """Return facts of open ground on which stones were laid."""
    rows = [["." if (x, y) == (0, 0) else ground for x in range(-4, 5)] for y in range(-3, 4)]
    for x, y in stones:
        rows[y + HALF[1]][x + HALF[0]] = "s"
    facts = {"task": "build_wall", "target": 3, "samples": len(stones), "facing": list(facing)}
    held = {"health": 9, "stone": 6, "wood_pickaxe": 1}
    view = {"view": ["".join(row) for row in rows], "placed": [list(stone) for stone in stones]}
    return OPEN | facts | {"inventory": held} | view


@pytest.mark.parametrize(
    ("facts", "gap", "key", "said"),
    [
        (wall(facing=(0, 1)), ((0, 1), (0, -1)), "place_stone", ["1 down"]),
        (wall((2, 0), (3, 0)), ((1, 0), (-1, 0)), "place_stone", ["2 right stone", "1 right"]),
        (wall((1, 0), (2, 0)), ((0, 0), (-1, 0)), "move_left", ["2 left"]),
        (wall((3, 0), facing=(-1, 0)), ((2, 0), (-1, 0)), "move_right", ["3 right stone", "2 right"]),
        (wall(ground="w"), None, "noop", []),
    ],
)
def test_a_wall_goes_on_where_the_fewest_steps_are_and_the_thought_says_where(facts, gap, key, said):
    assert gap_in(View(facts)) == gap
    step = Step(index=0, frame=np.zeros((9, 9, 3), np.uint8), instruction="", action=Action.press(key))
    (thought,) = REASONERS.get("crafter-frame")().reason([replace(step, privileged=facts)])
    claims = [CRAFTER.read(clause) for clause in split_clauses(thought)]
    assert [
        " ".join(value for _, value in claim.values)
        for claim in claims
        if claim.kind in ("near", "gap", "gap_ahead", "run_up")
    ] == said


def test_a_gap_is_ahead_where_it_is_faced_and_nowhere_else():
    checker, facts = CHECKERS.get("crafter")(), wall((2, 0), (3, 0))
    said = {
        "1. I fill the gap ahead, 1 right.": True,
        "1. I fill the gap 1 right.": False,
        "1. I fill the gap ahead, 1 left.": False,
        "1. The next stone goes 4 right.": True,
        "1. The next stone goes 2 down.": False,
    }
    assert {thought: checker.check(thought, facts, NOOP)[0].holds for thought in said} == said


def test_stones_that_were_there_before_are_no_wall():
    facts = wall((2, 0))
    assert gap_in(View(facts | {"placed": []})) == gap_in(View(wall()))


def test_what_can_be_entered_depends_on_what_is_held():
    view = OPEN | {"view": ["." * 9] * 3 + ["....,sw.."] + ["." * 9] * 3}
    assert [can_enter(View(view), (x, 0)) for x in (1, 2, 3)] == [False, False, True]
    tools = View(view | {"inventory": {"wood_pickaxe": 1, "stone": 1}})
    assert [can_enter(tools, (x, 0)) for x in (1, 2, 3)] == [True, True, True]
    cow = view | {"creatures": [{"kind": "cow", "at": [3, 0]}]}
    assert not can_enter(View(cow), (3, 0))


def test_the_world_knows_what_was_done_last_and_forks_do_not_mix_it_up():
    world = CrafterWorld()
    seed = world.episode_seeds(world.task, world.setting, Split.VALIDATION, 1)[0]
    world.reset(seed=seed)
    assert world.executed == ()
    world.act(RIGHT)
    state = world.save()
    world.act(UP)
    world.step_without_render(USE)
    assert world.executed == (USE, UP, RIGHT)
    world.load(state)
    assert world.executed == (RIGHT,)
    world.reset(seed=seed)
    assert world.executed == ()
