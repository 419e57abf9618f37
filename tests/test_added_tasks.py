"""A task of one's own in a world that is there: added from outside, taught, thought about and evaluated."""

import pytest

from rig.actions import NOOP, Action
from rig.annotators import REASONERS, REVIEWERS, ReviewCase, can_tell, checker_of
from rig.envs import MANUAL, TASKS, Split, Start, Task, make_world
from rig.envs.crafter.facts import WAYS, View
from rig.envs.minetest.world import MinetestWorld
from rig.errors import RigError, UnknownNameError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied
from rig.records import Dream, Step
from rig.stages import CollectConfig, ReasonConfig, collect, reason
from rig.teachers import TEACHERS

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


def test_it_is_found_by_name_and_not_among_all():
    world = make_world("crafter")
    assert world.tasks["take_a_walk"].target == STEPS
    assert "take_a_walk" not in {task.name for task in world.tasks}
    assert len(world.tasks.cells()) == 14
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
