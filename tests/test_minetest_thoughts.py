"""What Minetest's frames show is told as facts, thoughts say it and can be read back, and false ones are found out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from claim_makers import any_claim
from hypothesis import given
from hypothesis import strategies as st

from rig.actions import MINERL, NOOP, Action
from rig.annotators import (
    CHECKERS,
    LABELLERS,
    REASONERS,
    REVIEWERS,
    ReviewCase,
    can_tell,
    checker_of,
    seen_in,
    seen_of,
)
from rig.annotators.claims import Claim, split_clauses
from rig.annotators.minetest import explain
from rig.annotators.minetest_words import MINETEST, WORDINGS, deed_of, terms, tilt_of, where_of
from rig.dialogue import prompt
from rig.envs import Split
from rig.envs.minetest import MinetestConfig, MinetestEnv
from rig.envs.minetest.seen import THINGS, Seen, thing_of
from rig.envs.minetest.world import MinetestWorld
from rig.errors import RigError
from rig.records import Dream, Review, Step
from rig.teachers import TEACHERS

degrees = st.integers(-18, 18).map(lambda number: 5 * number)
actions = st.builds(
    lambda keys, camera: Action.press(*keys, camera=camera),
    st.lists(st.sampled_from(MINERL.keys), max_size=3, unique=True),
    st.tuples(degrees, degrees),
)
SLOTS = {
    "thing": st.sampled_from(THINGS),
    "item": st.sampled_from(["axe", "pickaxe", "dirt"]),
    "where": st.tuples(degrees, degrees).map(lambda turn: where_of(*turn)),
    "tilt": degrees.map(tilt_of),
    "deed": st.builds(deed_of, actions),
    "n": st.integers(0, 40),
}


@given(
    st.lists(any_claim(WORDINGS, SLOTS), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=4, max_size=4)
)
def test_every_wording_reads_back_as_its_claim(claims, choices):
    thought = MINETEST.say(claims, choices[: len(claims)])
    assert [MINETEST.read(clause) for clause in split_clauses(thought)] == claims
    assert not any(phrase.strip() in thought for phrase in prompt.LITERALS)


@given(actions, actions)
def test_other_actions_are_other_deeds(one, other):
    assert (deed_of(one) == deed_of(other)) == (one == other)


def test_deeds_say_all_of_an_action():
    action = Action.press("forward", "sprint", "jump", camera=(-5, 10))
    assert deed_of(action) == "run ahead and jump and turn right 10 and look up 5"
    assert deed_of(Action.press("attack", camera=(0, -30)), in_menu=True) == "click and move left 30"
    assert deed_of(NOOP) == "wait"
    assert {" left 50", " down 90"} <= set(terms())


def facts_of(rows, **others):
    """Return facts whose view shows `rows`: words of things, 3 nodes away; a dot is the sky."""
    cells = [word for row in rows for word in row.split()]
    nodes = {"trunk": "default:tree", "dirt": "default:dirt", "grass": "default:grass_3"}
    names = sorted({nodes[word] for word in cells if word != "."})
    view = {
        "cells": len(rows),
        "field": [100.0, 70.0],
        "names": names,
        "nodes": [-1 if word == "." else names.index(nodes[word]) for word in cells],
        "distances": [3] * len(cells),
    }
    facts = {"view": view, "pointed": {}, "wielded": "", "pitch": 0.0, "yaw": 0.0, "task": "chop_a_tree", "samples": 0}
    facts |= {"health": 20, "position": [0, 0, 0], "hotbar": 1, "inventory": {}, "menu_open": False, "sight": {}}
    return {**facts, **others}


LEFT = facts_of([". . .", "trunk . .", ". . ."])
NOTHING = facts_of([". . .", "dirt . .", ". . ."])
AIMED = {**LEFT, "pointed": {"node": "default:tree", "under": [0, 0, 1]}}
FAR = {**LEFT, "position": [9, 0, 0], "view": {**LEFT["view"], "distances": [9] * 9}}


def step_of(facts, action, dreams=()):
    frame = np.zeros((8, 8, 3), np.uint8)
    return Step(
        index=0,
        frame=frame,
        instruction="chop a tree",
        previous_action=NOOP,
        action=action,
        next_frame=frame,
        privileged=facts,
        dreams=tuple(dreams),
    )


def test_a_sighting_says_how_far_to_turn():
    (trunk,) = Seen(LEFT).find("trunk")
    assert (trunk.right, trunk.down, trunk.distance) == (-40, 0, 3)  # the middle of the left third of 100 degrees
    looking_down = facts_of([". . .", ". . .", ". trunk ."], pitch=60.0)
    (trunk,) = Seen(looking_down).find("trunk")
    assert (trunk.right, trunk.down) == (0, 25)


def test_a_thought_tells_what_is_seen_and_done_and_a_false_one_is_found_out():
    turn, checker = Action.press(camera=(0, -30)), CHECKERS.get("minetest")()
    (thought,) = REASONERS.get("minetest")().reason([step_of(LEFT, turn)])
    assert [MINETEST.read(clause) for clause in split_clauses(thought)] == [
        Claim.of("off"),
        Claim.of("see", thing="trunk", where="left 40", n=3),
        Claim.of("do", deed="turn left 30"),
    ]
    assert all(verdict.holds for verdict in checker.check(thought, LEFT, turn))
    (elsewhere,) = checker.check("1. I see trunk right 10, 3 away.", LEFT, turn)
    assert elsewhere.holds is False
    (about,) = checker.check("1. I see trunk left 35 and up 5, 4 away.", LEFT, turn)
    assert about.holds is True
    (otherwise,) = checker.check("1. So turn right 30.", LEFT, turn)
    assert otherwise.holds is False
    assert otherwise.concludes
    (none,) = checker.check("1. The moon is made of cheese.", LEFT, turn)
    assert none.holds is None
    assert none.kind == ""


def test_what_is_not_in_view_is_looked_for():
    (thought,) = REASONERS.get("minetest")().reason([step_of(NOTHING, Action.press(camera=(0, 30)))])
    kinds = [MINETEST.read(clause).kind for clause in split_clauses(thought)]
    assert kinds == ["off", "none", "search"]


@pytest.mark.parametrize(
    ("before", "after", "action", "kind"),
    [
        (LEFT, LEFT, Action.press("forward"), "dream_still"),
        (LEFT, {**LEFT, "samples": 1}, Action.press("attack"), "dream_gain"),
        (LEFT, {**LEFT, "health": 12}, Action.press("forward"), "dream_hurt"),
        (NOTHING, {**LEFT, "yaw": 30.0}, Action.press(camera=(0, 30)), "dream_found"),
        (LEFT, {**NOTHING, "yaw": 30.0}, Action.press(camera=(0, 30)), "dream_lost"),
        (LEFT, {**LEFT, "yaw": 5.0}, Action.press(camera=(0, 5)), "dream_turns"),
        (NOTHING, {**NOTHING, "position": [0, 0, 1]}, Action.press("forward"), "dream_walks"),
        (LEFT, {**LEFT, "position": [0, 0, 1]}, Action.press("forward"), "dream_no_closer"),
    ],
)
def test_a_review_says_what_the_dream_led_to(before, after, action, kind):
    dream = Dream(thought="1. Nothing is in reach.", action=action, privileged=after)
    case = ReviewCase(step=step_of(before, action, [dream]), better=Action.press(camera=(0, -30)))
    reviewer = REVIEWERS.get("minetest")()
    claims = [MINETEST.read(clause) for clause in split_clauses(reviewer.review([case])[0])]
    assert [claim.kind for claim in claims[:3]] == ["plan", kind, "change"]
    assert claims[3:] == explain(before, case.better)
    kept = reviewer.review([replace(case, better=action)])[0]
    plan, _, *rest = [MINETEST.read(clause) for clause in split_clauses(kept)]
    assert rest == [Claim.of("keep"), Claim.of("do", deed=plan.get("deed"))]
    checker = CHECKERS.get("minetest")()
    assert all(verdict.holds is not False for verdict in checker.check(kept, before, action))
    step = replace(case.step, thought=kept)
    assert [verdict.holds for verdict in checker.check_review(step)] == [True] * 4
    unknown = replace(step, dreams=(replace(dream, privileged={}),))
    assert [verdict.holds for verdict in checker.check_review(unknown)] == [True, None, True, True]


@pytest.mark.parametrize(
    ("before", "after", "thought", "holds"),
    [
        (AIMED, LEFT, "1. The dream loses its aim at trunk. 2. The dream comes to aim at trunk.", [True, False]),
        (LEFT, AIMED, "1. The dream loses its aim at trunk. 2. The dream comes to aim at trunk.", [False, True]),
        (LEFT, AIMED, "1. The dream digs on. 2. The dream only turns.", [True, True]),
        (LEFT, LEFT, "1. The dream digs on. 2. The dream stands still.", [False, True]),
        (LEFT, NOTHING, "1. The dream finds trunk. 2. The dream loses trunk.", [False, True]),
        (LEFT, {**LEFT, "samples": 1}, "1. The dream gains trunk. 2. The dream gains dirt.", [True, False]),
        (FAR, LEFT, "1. The dream gets closer to trunk. 2. In the dream trunk comes no closer.", [True, False]),
        (LEFT, FAR, "1. The dream gets closer to trunk. 2. In the dream trunk comes no closer.", [False, True]),
        (LEFT, LEFT, "1. I plan to walk ahead. 2. The plan: dig. 3. So change the plan.", [False, True, False]),
    ],
)
def test_what_is_said_of_a_dream_is_held_against_what_came(before, after, thought, holds):
    dream = Dream(thought="", action=Action.press("attack"), privileged=after)
    step = replace(step_of(before, dream.action, [dream]), thought=thought)
    assert [verdict.holds for verdict in CHECKERS.get("minetest")().check_review(step)] == holds


def test_a_plan_is_not_changed_for_reasons_that_no_frame_shows():
    dream = Dream(thought="", action=Action.press("forward"), privileged={**NOTHING, "position": [0, 0, 1]})
    case = ReviewCase(step=step_of(NOTHING, Action.press("forward"), [dream]), better=Action.press("jump"))
    reviewer = REVIEWERS.get("minetest")()
    searching, seeing = replace(case, better=Action.press(camera=(0, 30))), replace(case.step, privileged=LEFT)
    assert can_tell(reviewer, [case, searching, replace(case, step=seeing)]) == [False, True, True]


def test_nodes_have_names():
    names = ("default:pine_tree", "default:dirt_with_grass", "default:desert_sandstone", "default:brick")
    assert [thing_of(name) for name in names] == ["trunk", "dirt", "stone", "block"]


def test_the_view_is_what_the_frame_shows(tmp_path):
    """A red wall in a forest is told of the cells that are red."""
    config = MinetestConfig(width=64, height=64, mapgen="flat", view_range=20, view_cells=16)
    env = MinetestEnv(config)
    try:
        env.reset(seed=3)
        x, y, z = (round(value) for value in env.privileged()["position"])
        wall = [
            {"name": "set_node", "position": [x + right, y + up, z + 3], "node": "default:brick"}
            for right in range(1, 9)
            for up in range(5)
        ]
        env.command({"name": "look", "yaw": 0, "pitch": 0}, *wall)
        for _ in range(10):
            frame = env.step({})[0]["pov"]
        facts = env.privileged()
        assert env.step_without_render({})
        assert "view" not in env.privileged()
    finally:
        env.close()
    names, nodes = facts["view"]["names"], np.array(facts["view"]["nodes"]).reshape(16, 16)
    middle = slice(2, 12)  # above the hotbar
    told = (nodes == names.index("default:brick"))[middle]
    cells = frame.reshape(16, 4, 16, 4, 3).astype(int).mean((1, 3))[middle]
    red = cells[..., 0] - cells[..., 2]

    def agreement(told):
        return np.corrcoef(told.flatten(), red.flatten())[0, 1]

    assert 30 < told.sum() < 80
    assert agreement(told) > 0.6
    assert agreement(told) > max(agreement(np.roll(told, 2, axis=1)), agreement(np.roll(told, -2, axis=1)))
    assert facts["view"]["field"] == pytest.approx([102.4, 70], abs=0.1)


def test_everything_thought_in_a_real_episode_is_true():
    world, teacher = MinetestWorld(), TEACHERS.get("minetest")()
    reasoner, checker = REASONERS.get("minetest")(), CHECKERS.get("minetest")()
    labeller, describer = LABELLERS.get("minetest")(), REASONERS.get("minetest-views")()
    task = world.tasks["chop_a_tree"]
    (seed,) = world.episode_seeds(task, "tool", Split.VALIDATION, 1)
    try:
        frame, info = world.reset(seed=seed, options={"task": task.name, "setting": "tool"})
        seen = SimpleNamespace(labels=set(), kinds=set())
        for _ in range(25):
            facts, action = info["privileged"], teacher.act(world)
            step = replace(step_of(facts, action), frame=frame)
            verdicts = checker.check(reasoner.reason([step])[0], facts, action)
            assert all(verdict.holds for verdict in verdicts), (verdicts, facts)
            described = checker.check(describer.reason([step])[0].partition(" I see")[0], facts, action)
            assert all(verdict.holds for verdict in described)
            (labels,) = labeller.label([step])
            assert len(labels) == 64
            seen.labels |= {label.split()[0] for label in labels}
            seen.kinds |= {verdict.kind for verdict in verdicts}
            frame, _, terminated, truncated, info = world.act(action)
            if terminated or truncated:
                break
    finally:
        world.close()
    assert {"trunk", "leaves", "hand:", "axe,"} <= seen.labels
    assert {"see", "do"} <= seen.kinds


CRAFTERS = {"view": ["..."], "facing": [0, 1], "inventory": {}, "creatures": [], "task": "collect_wood", "samples": 0}


@pytest.mark.parametrize("world", ["crafter", "minetest"])
@pytest.mark.parametrize("theirs", ["facts of the other world", "no facts"])
def test_who_is_handed_facts_that_are_not_of_the_world_says_so(world, theirs):
    """Every Reasoner, Reviewer, Labeller and checker of a world, in everything that it is asked."""
    facts = {} if theirs == "no facts" else LEFT if world == "crafter" else CRAFTERS
    step = step_of(facts, NOOP, [Dream(thought=None, action=NOOP, privileged=facts)])
    step = replace(step, thought="1. I wait.", review=Review(thought="1. I wait.", action=NOOP))
    case = seen_of(ReviewCase(step=step, better=NOOP))
    reviewer, checker = REVIEWERS.get(world)(), checker_of(world)
    asked = [
        lambda: REASONERS.get(world)().annotate([seen_in(step)]),
        lambda: REASONERS.get(f"{world}-views")().annotate([seen_in(step)]),
        lambda: LABELLERS.get(world)().annotate([seen_in(step)]),
        lambda: reviewer.annotate([case]),
        lambda: reviewer.can_tell([case]),
        lambda: checker.check(step.thought, step.privileged, step.action),
        lambda: checker.check_review(step),
    ]
    said = rf"no facts of {world.capitalize()}.*--reasoner, --reviewer, --labeller"
    for ask in asked:
        with pytest.raises(RigError, match=said):
            ask()
