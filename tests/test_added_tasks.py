"""A task of one's own in a world that is there: added from outside, taught, thought about and evaluated."""

import pytest

from rig.actions import NOOP, Action
from rig.annotators import REASONERS, REVIEWERS, ReviewCase, can_tell, checker_of
from rig.envs import MANUAL, TASKS, WORLDS, Split, Start, Task, TaskTable, World, WorldSpec, add_task, make_world
from rig.envs.crafter.facts import WAYS, View
from rig.envs.minetest.world import MinetestWorld
from rig.errors import RigError, UnknownNameError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied
from rig.records import Dream, Step
from rig.stages import CollectConfig, ReasonConfig, RehearseConfig, collect, reason, rehearse
from rig.teachers import TEACHERS
from rig.teachers.crafter_needs import Need

STEPS = 3


class Stroller:
    """Walks on as long as the way is open, and turns where it is not."""

    name = "stroller-1"

    def act(self, world):
        view = View(world.privileged())
        ways = [view.facing, *(way for way in WAYS if way != view.facing)]
        return Action.press(f"move_{WAYS[next((way for way in ways if view.is_free(way)), ways[0])]}")


@pytest.fixture(scope="module", autouse=True)
def added():
    """A walk of three cells, added to Crafter, and who teaches it."""
    walk = Task(
        name="take_a_walk",
        instruction="take a walk",
        kind="achievement",
        target=STEPS,
        starts={MANUAL: Start(limit=30, roam=STEPS)},
        samples=lambda world: max(abs(int(a) - b) for a, b in zip(world.engine.player.pos, world.start, strict=True)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS._entries, "crafter/take_a_walk", walk)
        patch.setitem(TEACHERS._entries, "stroller", Stroller)
        yield walk


@pytest.fixture
def alone(monkeypatch):
    """What is added in a test is gone behind it."""
    monkeypatch.setattr(TASKS, "_entries", dict(TASKS._entries))


def drinking(**changes):
    fields = {
        "name": "collect_drink",
        "instruction": "drink water",
        "kind": "collection",
        "target": 3,
        "starts": {MANUAL: Start(limit=40, near={"water": (2, 8)})},
        "recipe": lambda situation, missing: Need(verb="gather", thing="water"),
    }
    return Task(**{**fields, **changes})


def test_one_call_adds_a_task_that_is_played_explained_and_reviewed_like_the_worlds_own(alone, tmp_path):
    add_task("crafter", drinking())
    config = EmbodiedConfig(agent="teacher:crafter", tasks=("collect_drink",), episodes=2)
    assert evaluate_embodied(config, tmp_path / "eval")["success"]["value"] == 1
    collect(CollectConfig(tasks=("collect_drink",), episodes=3), tmp_path / "s1")
    taught = reason(tmp_path / "s1", ReasonConfig(), tmp_path / "s2")
    steps = [step for name in taught.ids for step in taught[name].steps]
    assert any("water" in step.thought for step in steps if step.action == Action.press("use"))
    assert any(word in step.thought for step in steps for word in ("collect water", "take water", "water now"))
    reviewed = rehearse(tmp_path / "s2", RehearseConfig(), tmp_path / "s4")
    said = [step.review.thought for name in reviewed.ids for step in reviewed[name].steps]
    assert any("closer" in thought and "water" in thought for thought in said)


@pytest.mark.parametrize(
    ("world", "task", "says"),
    [
        ("craftr", drinking(), "unknown environment 'craftr'. Did you mean 'crafter'"),
        ("crafter", "collect_drink", "add_task\\('crafter', 'collect_drink'\\): give a rig.envs.Task"),
        ("crafter", drinking(name="collect/drink"), "whose name has no slash"),
        ("crafter", drinking(name="explore"), "'crafter' has a task 'explore' of its own; choose another name"),
        ("crafter", drinking(name="take_a_walk"), "task 'crafter/take_a_walk' is registered twice"),
        ("closed", drinking(), r"'closed' takes no tasks of others; make its table TaskTable\(…, world='closed'\)"),
    ],
)
def test_what_cannot_be_added_is_named(alone, monkeypatch, world, task, says):
    closed = type("Closed", (World,), {"name": "closed", "tasks": TaskTable([])})
    monkeypatch.setitem(WORLDS._entries, "closed", WorldSpec(world=closed))
    with pytest.raises(RigError, match=says):
        add_task(world, task)


@pytest.mark.parametrize(
    ("need", "says"),
    [
        ("water", "the recipe of the task 'collect_drink' returned 'water'; return a rig.teachers.crafter_needs.Need"),
        (Need(verb="gater", thing="water"), "needs to 'gater'. Did you mean 'gather'"),
        (
            Need(verb="gather", thing="watr"),
            "needs to gather 'watr', which the expert cannot find. Did you mean 'water'",
        ),
        (Need(verb="reach", thing="grass"), "needs to reach 'grass', which the expert cannot find"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_named(alone, tmp_path, need, says):
    add_task("crafter", drinking(recipe=lambda situation, missing: need))
    with pytest.raises(RigError, match=says):
        collect(CollectConfig(tasks=("collect_drink",), episodes=1), tmp_path / "s1")


def test_it_is_found_by_name_and_not_among_all():
    world = make_world("crafter")
    assert world.tasks["take_a_walk"].target == STEPS
    assert "take_a_walk" not in {task.name for task in world.tasks}
    assert len(world.tasks.variants()) == 14
    with pytest.raises(UnknownNameError, match=r"Did you mean 'take_a_walk'"):
        world.tasks["take_walk"]


def test_it_is_played_taught_and_evaluated(tmp_path):
    config = EmbodiedConfig(agent="teacher:stroller", environment="crafter", tasks=("take_a_walk",), episodes=4)
    scores = evaluate_embodied(config, tmp_path / "eval")
    assert scores["cells"]["take_a_walk/manual"]["success"]["value"] > 0
    collect(CollectConfig(teacher="stroller", tasks=("take_a_walk",), episodes=4), tmp_path / "s1")
    dataset = reason(tmp_path / "s1", ReasonConfig(), tmp_path / "s2")
    steps = dataset[dataset.ids[0]].steps
    checker = checker_of("crafter")
    assert all(
        verdict.holds is not False
        for step in steps
        for verdict in checker.check(step.thought, step.privileged, step.action)
    )
    assert any("right" in step.thought or "left" in step.thought for step in steps)


def test_what_knows_recipes_only_says_so_and_what_sees_tells_what_it_sees():
    world = make_world("crafter")
    task = world.tasks["take_a_walk"]
    frame, _ = world.reset(seed=world.episode_seeds(task, MANUAL, Split.TRAIN, 1)[0], options={"task": task.name})
    with pytest.raises(UnknownNameError, match=r"no recipe for the Crafter task 'take_a_walk'.*--teacher of your own"):
        TEACHERS.get("crafter")().act(world)
    facts = world.privileged()
    for action in (NOOP, *map(Action.press, world.actions.keys)):
        step = Step(index=0, frame=frame, instruction="", action=action, privileged=facts)
        (thought,) = REASONERS.get("crafter")().reason([step])
        assert thought.count(". ") >= 3
    dreamt = Step(
        index=0,
        frame=frame,
        instruction="",
        action=action,
        privileged=facts,
        dreams=(Dream(thought="1. I wait here.", action=NOOP, privileged=facts),),
    )
    case = ReviewCase(step=dreamt, better=Action.press("move_left"))
    assert REVIEWERS.get("crafter")().review([case])[0]
    assert can_tell(REVIEWERS.get("crafter")(), [case]) == [True]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"starts": {MANUAL: Start(limit=9, near={"tre": (1, 2)})}},
            "material in the start .* 'tre'.*Did you mean 'tree'",
        ),
        ({"starts": {MANUAL: Start(limit=9, inventory={"wod": 1})}}, "item in the start .* 'wod'.*Did you mean 'wood'"),
        ({"samples": None}, "Crafter does not count 'odd' by itself, .*collect_drink"),
    ],
)
def test_a_task_that_cannot_be_played_is_named(monkeypatch, added, changes, says):
    sound = {
        "name": "odd",
        "instruction": "x",
        "kind": "long",
        "target": 1,
        "starts": added.starts,
        "samples": added.samples,
    }
    monkeypatch.setitem(TASKS._entries, "crafter/odd", Task(**{**sound, **changes}))
    world = make_world("crafter")
    with pytest.raises(RigError, match=says):
        world.reset(options={"task": "odd"})


def test_a_task_without_a_target_or_a_start_is_none(added):
    for changes in ({"target": 0}, {"starts": {}}):
        fields = {"name": "x", "instruction": "x", "kind": "long", "target": 1, "starts": added.starts}
        with pytest.raises(RigError, match="task 'x' has target"):
            Task(**{**fields, **changes})


def test_minetest_counts_what_is_added_to_it_and_wants_its_own_starts(monkeypatch):
    task = Task(
        name="wait", instruction="wait", kind="long", target=1, starts={MANUAL: Start(limit=9)}, samples=lambda _: 7
    )
    monkeypatch.setitem(TASKS._entries, "minetest/wait", task)
    world = MinetestWorld()
    world.task = world.tasks["wait"]
    assert world.samples == 7
