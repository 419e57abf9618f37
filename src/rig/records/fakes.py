"""Factories of random records, for tests that need no data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rig.actions import CRAFTER, NOOP, Action, ActionSpace
from rig.records.types import Dream, Frame, Lineage, Plan, Review, Step, Trajectory, remembered


def fake_frame(random: np.random.Generator, size: int = 32) -> Frame:
    """Return a random RGB frame, uint8 [size, size, 3]."""
    return random.integers(0, 256, (size, size, 3), dtype=np.uint8)


def fake_action(random: np.random.Generator, space: ActionSpace = CRAFTER) -> Action:
    """Return a random legal action of `space`."""
    count = int(random.integers(0, 2 if space.exclusive else 4))
    keys = frozenset(str(key) for key in random.choice(space.keys, size=count, replace=False))
    if space.camera is None:
        return Action(keys=keys)
    pitch, yaw = (int(angle) for angle in random.choice(list(space.camera.angles()), size=2))
    return Action(keys=keys, camera=(pitch, yaw))


def fake_thought(random: np.random.Generator) -> str:
    """Return a short numbered thought."""
    things = random.choice(["tree", "stone", "water", "cow", "table"], size=3)
    return " ".join(f"{number}. The {thing} is near." for number, thing in enumerate(things, 1))


def fake_dream(random: np.random.Generator, space: ActionSpace = CRAFTER, size: int = 32) -> Dream:
    """Return a random dream with a thought, an action and both frames."""
    return Dream(
        thought=fake_thought(random),
        action=fake_action(random, space),
        frame=fake_frame(random, size),
        real_frame=fake_frame(random, size),
        privileged={"facing": "water"},
    )


def fake_plan(random: np.random.Generator, space: ActionSpace = CRAFTER, size: int = 32, num_dreams: int = 0) -> Plan:
    """Return a random plan that was judged, with `num_dreams` dreams."""
    return Plan(
        thought=fake_thought(random),
        action=fake_action(random, space),
        dreams=tuple(fake_dream(random, space, size) for _ in range(num_dreams)),
        votes=int(random.integers(1, 5)),
        score=float(random.normal()),
        judgement=f"{random.integers(1, 20)} to go",
    )


def fake_step(
    seed: int = 0,
    *,
    index: int = 0,
    space: ActionSpace = CRAFTER,
    size: int = 32,
    num_dreams: int = 0,
    num_plans: int = 0,
) -> Step:
    """Return a random step.

    With `num_dreams` > 0 it holds that lookahead and its review; with `num_plans` > 0 it was decided among so many
    plans, each with `num_dreams` dreams, and not reviewed.
    """
    random = np.random.default_rng([seed, index])
    dreams = tuple(fake_dream(random, space, size) for _ in range(num_dreams))
    action, thought = fake_action(random, space), fake_thought(random)
    review = Review(thought=thought, action=action, helped=action != dreams[0].action) if dreams else None
    step = Step(
        index=index,
        frame=fake_frame(random, size),
        instruction="collect wood",
        previous_action=fake_action(random, space),
        action=action,
        thought=thought,
        next_frame=fake_frame(random, size),
        dreams=dreams,
        review=review,
        privileged={"facing": "tree", "inventory": {"wood": int(random.integers(0, 9))}},
    )
    if not num_plans:
        return step
    plans = [fake_plan(random, space, size, num_dreams) for _ in range(num_plans)]
    chosen = int(random.integers(num_plans))
    decided = replace(step, thought=plans[chosen].thought, action=plans[chosen].action, review=None)
    return decided.with_plans(plans, chosen)


def fake_trajectory(
    seed: int = 0,
    *,
    length: int = 4,
    space: ActionSpace = CRAFTER,
    size: int = 32,
    num_dreams: int = 0,
    num_plans: int = 0,
) -> Trajectory:
    """Return a random trajectory whose frames and executed actions chain from step to step."""
    steps: list[Step] = []
    for index in range(length):
        step = fake_step(seed, index=index, space=space, size=size, num_dreams=num_dreams, num_plans=num_plans)
        if steps:
            before = steps[-1] = replace(steps[-1], next_frame=step.frame)
            earlier = remembered(before.previous_action, before.earlier_actions)
            step = replace(step, previous_action=before.action, earlier_actions=earlier)
        else:
            step = replace(step, previous_action=NOOP)
        steps.append(step)
    return Trajectory(
        id=f"fake-{seed}",
        environment="crafter",
        task="collect_wood",
        setting="manual",
        seed=seed,
        action_space=space.name,
        steps=tuple(steps),
        success=True,
        samples=1,
        lineage=Lineage(stage="s1", actor="fake"),
    )
