"""The expert for frames: it knows nothing that its student cannot know, and its thoughts say what it goes by."""

from dataclasses import replace

import numpy as np
import pytest

from rig.actions import NOOP, Action
from rig.annotators import CHECKERS, REASONERS
from rig.annotators.claims import split_clauses
from rig.annotators.crafter_words import CRAFTER, REMEMBERED, offset_of
from rig.envs import Split
from rig.envs.crafter.facts import HALF, View
from rig.envs.crafter.world import CrafterWorld
from rig.records import Step, remembered
from rig.teachers import TEACHERS
from rig.teachers.crafter_frame import FrameMoment
from rig.teachers.crafter_moment import Moment
from rig.teachers.crafter_search import first_step, heading, search_goal
from rig.teachers.crafter_view import can_enter
from rig.teachers.crafter_wall import Site, Wall, site_in, wall_in

LEFT, RIGHT, UP, USE = (Action.press(key) for key in ("move_left", "move_right", "move_up", "use"))
LAY = Action.press("place_stone")
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


def test_nothing_out_of_view_is_ground_to_stand_on():
    world = CrafterWorld()
    world.reset(seed=world.episode_seeds(world.task, world.setting, Split.VALIDATION, 1)[0])
    seen, (x, y) = FrameMoment(world), world.engine.player.pos
    everywhere = [(int(x) + right, int(y) + down) for right in range(-7, 8) for down in range(-7, 8)]
    open_cells = [cell for cell in everywhere if seen.is_open(cell)]
    assert 0 < len(open_cells) < len([cell for cell in everywhere if Moment(world).is_open(cell)])
    assert all(abs(right - x) <= HALF[0] and abs(down - y) <= HALF[1] for right, down in open_cells)


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
    walls = [kinds for step, kinds in zip(played[0], said, strict=True) if step.privileged["task"] == "build_wall"]
    assert sum("laid" in kinds for kinds in walls) > 20
    assert sum("room" in kinds for kinds in walls) >= 4
    assert any("site" in kinds for kinds in walls)


def test_others_do_not_say_it(played):
    thoughts = REASONERS.get("crafter")().reason(played[0])
    kinds = {CRAFTER.read(clause).kind for thought in thoughts for clause in split_clauses(thought)}
    assert kinds.isdisjoint(REMEMBERED)


@pytest.mark.parametrize(
    ("executed", "way"),
    [
        ((), None),
        ((RIGHT,), None),
        ((RIGHT, RIGHT), (1, 0)),
        ((UP, RIGHT, USE, UP, UP), (0, -1)),
        ((RIGHT, LEFT) * 4, None),
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


def wall(*stones, facing=(1, 0), ground=".", held=6):
    """Return facts of open ground on which stones lie, for whoever builds a wall."""
    rows = [["." if (x, y) == (0, 0) else ground for x in range(-4, 5)] for y in range(-3, 4)]
    for x, y in stones:
        rows[y + HALF[1]][x + HALF[0]] = "s"
    inventory = {"health": 9, "stone": held, "wood_pickaxe": 1}
    facts = {"task": "build_wall", "target": 3, "samples": 0, "facing": list(facing), "inventory": inventory}
    return OPEN | facts | {"view": ["".join(row) for row in rows]}


def think(facts, executed, key):
    """Return the claims of a thought."""
    previous, *earlier = (*executed, NOOP)
    step = Step(index=0, frame=np.zeros((9, 9, 3), np.uint8), instruction="", action=Action.press(key))
    step = replace(step, privileged=facts, previous_action=previous, earlier_actions=tuple(earlier))
    (thought,) = REASONERS.get("crafter-frame")().reason([step])
    return [CRAFTER.read(clause) for clause in split_clauses(thought)]


FIRST = [LEFT, LEFT, LAY]
"""Behind a first stone, two steps back; newest first."""


@pytest.mark.parametrize(
    ("stones", "facing", "executed", "near", "laid"),
    [
        ([(1, 0)], (1, 0), [LAY], 1, 1),
        ([(2, 0)], (-1, 0), FIRST[1:], 2, 1),
        ([(3, 0)], (-1, 0), FIRST, 3, 1),
        ([(2, 0)], (1, 0), [RIGHT, *FIRST], 2, 1),
        ([(1, 0), (2, 0)], (1, 0), [LAY, RIGHT, *FIRST], 1, 2),
        ([(2, 0), (3, 0)], (1, 0), [RIGHT, LEFT, LEFT, LAY, RIGHT, *FIRST], 2, 2),
        ([(2, 0)], (1, 0), [RIGHT, USE, LEFT, NOOP, LEFT, LAY], 2, 1),
        ([(0, 2), (0, 3)], (0, -1), [UP, LAY, Action.press("move_down"), UP, UP, LAY], 2, 2),
        ([(0, 3)], (0, -1), [UP, UP, LAY, Action.press("move_down"), UP, UP, LAY], 3, 2),
        ([(1, 0)], (1, 0), [RIGHT, LAY], 1, 1),
    ],
)
def test_a_wall_is_known_by_its_rhythm(stones, facing, executed, near, laid):
    way = tuple(int(np.sign(value)) for value in stones[0])
    assert wall_in(View(wall(*stones, facing=facing)), executed) == Wall(way=way, near=near, stones=laid)


@pytest.mark.parametrize(
    ("stones", "facing", "executed"),
    [
        ([(1, 0)], (1, 0), []),
        ([(1, 0)], (1, 0), [USE, RIGHT]),
        ([(2, 0)], (-1, 0), [LEFT, UP, LAY]),
        ([(1, 1)], (-1, 0), [LEFT, LAY]),
        ([], (1, 0), [LAY]),
        ([(2, 0)], (-1, 0), [LEFT, *(NOOP,) * 7, LAY]),
        ([(2, 0), (-1, 0)], (-1, 0), [LEFT, LAY]),
    ],
    ids=["rock", "rock walked up to", "gone aside", "left", "taken away", "long ago", "no way back"],
)
def test_other_stones_are_no_wall(stones, facing, executed):
    assert wall_in(View(wall(*stones, facing=facing)), executed) is None


def test_a_wall_begins_where_there_is_room():
    assert site_in(View(wall())) == Site(first=(1, 0), way=(1, 0)), "ahead, at once"
    beside_rock = site_in(View(wall((2, 0))))
    assert beside_rock.first != (1, 0), "not before a stone that could be taken for its own"
    row = wall() | {"view": ["T" * 9] * 5 + ["TTTT....."] + ["T" * 9]}
    assert site_in(View(row | {"view": [*row["view"][:3], "TTTT.TTTT", *row["view"][4:]]})) is None, "nobody gets there"
    lane = View(row | {"view": ["T" * 9] * 3 + ["TTTT.TTTT"] * 2 + ["TTTT.....", "T" * 9]})
    assert site_in(lane).start == (2, 2)


@pytest.mark.parametrize(
    ("facts", "executed", "key", "said"),
    [
        (wall(), [], "place_stone", ["room right"]),
        (wall((1, 0)), [LAY], "move_left", ["laid 1 1 right"]),
        (wall((2, 0)), [RIGHT, *FIRST], "place_stone", ["laid 1 2 right"]),
        (wall((2, 0), (3, 0)), [RIGHT, LEFT, LEFT, LAY, RIGHT, *FIRST], "place_stone", ["laid 2 2 right"]),
    ],
)
def test_the_thought_says_how_much_of_it_stands(facts, executed, key, said):
    claims = [claim for claim in think(facts, executed, key) if claim.kind in ("laid", "room", "site")]
    assert [" ".join((claim.kind, *(value for _, value in claim.values))) for claim in claims] == said


def test_what_is_laid_counts_towards_the_stones_that_are_needed():
    counted = [claim for claim in think(wall((1, 0), held=1), [LAY], "use") if claim.kind in ("count", "enough")]
    assert [dict(claim.values) for claim in counted] == [{"item": "stone", "n": "1", "m": "2"}]


def test_checks_of_walls_read_the_frame():
    checker, facts = CHECKERS.get("crafter")(), wall((2, 0), (0, 1))
    said = {
        "1. The wall of 1 is 2 right.": True,
        "1. The wall of 1 is 1 right.": False,
        "1. A wall fits right of me.": True,
        "1. A wall fits down of me.": False,
        "1. I begin a wall from 3 right.": True,
        "1. I begin a wall from 2 right.": False,
    }
    assert {thought: checker.check(thought, facts, NOOP)[0].holds for thought in said} == said


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
