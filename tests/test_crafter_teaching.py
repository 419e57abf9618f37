"""The expert solves tasks; rule-based thoughts are varied, readable back, true, and blind to what is not in view."""

import re
from dataclasses import replace

import numpy as np
import pytest
from claim_makers import any_claim
from hypothesis import given
from hypothesis import strategies as st

from rig.actions import NOOP, Action
from rig.annotators import CHECKERS, REASONERS, REVIEWERS, ReviewCase, can_tell
from rig.annotators.claims import split_clauses
from rig.annotators.crafter_words import CRAFTER, WORDINGS, items_of, offset_of, place_of
from rig.dialogue import prompt
from rig.envs import Split
from rig.envs.crafter.facts import MATERIALS, View, longest_line
from rig.envs.crafter.world import CrafterWorld
from rig.records import Dream, Step
from rig.teachers import TEACHERS

THINGS = ["tree", "stone", "water", "wood_pickaxe"]
ITEMS = ["wood", "stone", "wood_pickaxe"]
SLOTS = {
    "thing": st.sampled_from(THINGS),
    "item": st.sampled_from(ITEMS),
    "items": st.dictionaries(st.sampled_from(ITEMS), st.integers(1, 9), min_size=1).map(items_of),
    "place": st.tuples(st.integers(-4, 4), st.integers(-3, 3)).filter(any).map(place_of),
    "way": st.sampled_from(["left", "right", "up", "down"]),
    "deed": st.sampled_from(["use", "wait", "move_left", "make_wood_pickaxe"]),
    "n": st.integers(0, 12),
    "m": st.integers(1, 12),
}


@given(
    st.lists(any_claim(WORDINGS, SLOTS), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=4, max_size=4)
)
def test_every_wording_reads_back_as_its_claim(claims, choices):
    thought = CRAFTER.say(claims, choices[: len(claims)])
    assert [CRAFTER.read(clause) for clause in split_clauses(thought)] == claims
    assert not any(phrase.strip() in thought for phrase in prompt.LITERALS)


@given(SLOTS["place"])
def test_places_in_words(place):
    assert place_of(offset_of(place)) == place


def test_what_is_not_a_claim_reads_as_none():
    assert CRAFTER.read("The weather is fine.") is None
    assert CRAFTER.read("I see tree 2 sideways.") is None


@pytest.fixture(scope="module")
def episodes():
    """A few taught steps of every task and setting."""
    world, teacher = CrafterWorld(), TEACHERS.get("crafter")()
    steps, successes = [], []
    for task, setting in world.tasks.variants():
        for seed in world.episode_seeds(task, setting, Split.VALIDATION, 2):
            frame, _ = world.reset(seed=seed, options={"task": task.name, "setting": setting})
            done = False
            while not done:
                action, facts = teacher.act(world), world.privileged()
                steps.append(Step(index=0, frame=frame, instruction="", action=action, privileged=facts))
                frame, _, terminated, truncated, info = world.act(action)
                done = terminated or truncated
            successes.append(info["success"])
    return steps, successes


def test_the_expert_solves_the_tasks(episodes):
    assert np.mean(episodes[1]) >= 0.95


def test_every_clause_of_the_reasoner_holds(episodes):
    steps, _ = episodes
    thoughts = REASONERS.get("crafter")().reason(steps)
    checker = CHECKERS.get("crafter")()
    for step, thought in zip(steps, thoughts, strict=True):
        verdicts = checker.check(thought, step.privileged, step.action)
        assert 3 <= len(verdicts) <= 6, thought
        assert [verdict.kind for verdict in verdicts[:2]] in (["front", "hold"], ["front", "hold_nothing"])
        assert len({verdict.text for verdict in verdicts}) == len(verdicts), "nothing is said twice"
        assert all(verdict.holds is True for verdict in verdicts), (thought, step.privileged, step.action)
    assert len(set(thoughts)) > len(thoughts) / 4, "wording and content vary"


def test_the_checker_finds_false_claims(episodes):
    step = episodes[0][0]
    thought = "1. I look up at diamond. 2. I hold 9 of 9 iron. 3. The moon is full. 4. So wait."
    verdicts = CHECKERS.get("crafter")().check(thought, step.privileged, step.action)
    assert [verdict.holds for verdict in verdicts] == [False, False, None, False]


@pytest.mark.parametrize(
    ("clause", "holds"),
    [
        ("I hold 3 stone, 1 wood pickaxe.", True),
        ("I carry 1 wood pickaxe, 3 stone, 0 iron.", True),
        ("I hold 3 stone.", False),
        ("I hold 2 stone, 1 wood pickaxe.", False),
        ("I hold 3 stone, 1 wood pickaxe, 1 iron.", False),
        ("My hands are empty.", False),
    ],
)
def test_what_is_held_is_checked_whole(episodes, clause, holds):
    held = {"health": 9, "stone": 3, "wood_pickaxe": 1}
    facts = episodes[0][0].privileged | {"inventory": held}
    check = CHECKERS.get("crafter")().check
    assert check(f"1. {clause}", facts, NOOP)[0].holds == holds
    assert check("1. I hold nothing.", facts | {"inventory": {"health": 9}}, NOOP)[0].holds


def test_thoughts_read_nothing_that_the_frame_does_not_show(episodes):
    """Facts hold the view, what stands in it, the inventory and the task: changing anything else changes no thought."""
    reasoner = REASONERS.get("crafter")()
    steps = episodes[0][::17]
    hidden = [
        replace(step, privileged=step.privileged | {"position": [0, 0], "time": 9, "daylight": 0.1}) for step in steps
    ]
    assert reasoner.reason(steps) == reasoner.reason(hidden)
    for step in steps:
        assert {letter for row in step.privileged["view"] for letter in row} <= set(MATERIALS.values())
        assert all(abs(c["at"][0]) <= 4 and abs(c["at"][1]) <= 3 for c in step.privileged["creatures"])


def review(step, dreamed, proposal, better):
    dreams = (Dream(thought="", action=proposal, privileged=dreamed),)
    return REVIEWERS.get("crafter")().review([ReviewCase(step=replace(step, dreams=dreams), better=better)])[0]


def kinds(thought):
    return [CRAFTER.read(clause).kind for clause in split_clauses(thought)]


def test_the_reviewer_says_the_plan_its_dream_whether_the_plan_stays_and_what_it_would_think(episodes):
    step = next(s for s in episodes[0] if s.action == Action.press("use") and s.privileged["task"] == "collect_wood")
    idle = review(step, step.privileged, NOOP, step.action)
    thought = kinds(REASONERS.get("crafter")().reason([step])[0])
    assert kinds(idle) == ["plan", "dream_still", "change", *thought]
    assert CRAFTER.read(split_clauses(idle)[0]).get("deed") == "wait"
    held = dict(step.privileged["inventory"])
    gained = step.privileged | {"inventory": held | {"wood": held.get("wood", 0) + 1}}
    kept = review(step, gained, step.action, step.action)
    assert kinds(kept) == ["plan", "dream_gain", "keep", *thought]
    assert CRAFTER.read(split_clauses(kept)[0]).get("deed") == "use"
    hurt = review(step, step.privileged | {"inventory": held | {"health": 1}}, NOOP, step.action)
    assert kinds(hurt)[1] == "dream_hurt"


def test_the_reviewer_knows_what_frames_cannot_show(episodes):
    step = next(s for s in episodes[0] if s.action == Action.press("use") and s.privileged["task"] == "collect_wood")
    facts = step.privileged | {"creatures": []}
    meadow = facts | {"view": [MATERIALS["grass"] * len(row) for row in facts["view"]]}

    def tells(before, after, better="move_up"):
        dreams = (Dream(thought="", action=NOOP, privileged=after),)
        case = ReviewCase(step=replace(step, privileged=before, dreams=dreams), better=Action.press(better))
        return can_tell(REVIEWERS.get("crafter")(), [case])[0]

    elsewhere = {"position": [0, 0]}
    assert tells(facts, facts | elsewhere), "there is the tree that is needed"
    assert not tells(meadow, meadow | elsewhere), "where are trees?"
    assert tells(meadow, meadow), "nothing came of it"
    assert not tells(facts | {"task": "explore"}, facts | elsewhere), "which way is far?"
    zombie = meadow | {"creatures": [{"kind": "zombie", "at": [0, -1]}]}
    assert tells(zombie, zombie | elsewhere)
    assert not tells(zombie, zombie | elsewhere, better="move_down")


def test_lines_of_stones():
    assert longest_line(set()) == 0
    assert longest_line({(0, 0), (1, 0), (2, 0), (2, 1), (5, 0)}) == 3
    assert longest_line({(0, 0), (0, 1), (0, 2), (0, 3), (1, 3)}) == 4


def test_descriptions_are_true():
    world = CrafterWorld()
    task = world.tasks["collect_wood"]
    seed = world.episode_seeds(task, "manual", Split.VALIDATION, 1)[0]
    frame, info = world.reset(seed=seed, options={"task": "collect_wood", "setting": "manual"})
    step = Step(
        index=0,
        frame=frame,
        instruction=task.instruction,
        previous_action=NOOP,
        action=NOOP,
        privileged=info["privileged"],
    )
    view = View(info["privileged"])
    description = REASONERS.get("crafter-views")().reason([step])[0]
    places, _, clauses = description.partition(" 1. ")
    found = re.findall(r"I see (.+?)\. So go (.+?)\.", places)
    assert " ".join(f"I see {sentence}. So go {ways}." for sentence, ways in found) == places
    for sentence, ways in found:
        kind, _, listed = sentence.partition(" ")
        told = [offset_of(place) for place in listed.split(", ")]
        assert told == view.find(kind)[: len(told)]
        dx, dy = told[0]
        nearer = {"left": dx < 0, "right": dx > 0, "up": dy < 0, "down": dy > 0}
        assert ways.split(" or ") == [way for way, is_nearer in nearer.items() if is_nearer]
    verdicts = CHECKERS.get("crafter")().check(f"1. {clauses}", info["privileged"], NOOP)
    assert len(verdicts) >= 5
    assert all(verdict.holds for verdict in verdicts)
