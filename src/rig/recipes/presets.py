"""The budgets of ladders, as complete named presets."""

from __future__ import annotations

from dataclasses import replace

from rig.recipes.config import LadderConfig, PlanningConfig
from rig.registry import Registry

LADDERS: Registry[LadderConfig] = Registry("ladder", "rig.ladders")
"""Named `<ladder>/<preset>`."""

_FEW_PLANS = PlanningConfig(
    plans=(2,),
    dreams=(0, 1, 2),
    episodes=1,
    branch_episodes=2,
    held_out_episodes=2,
    states=2,
    proposals=3,
    judge_steps=5,
    said=(2, 1),
    shown=(2, 1),
    rows=("own", "true", "no-dreams"),
    valued=0.2,
    rounds=1,
    groups=2,
    attempts=2,
    decisions=4,
)

LADDERS.add(
    "crafter/debug",
    LadderConfig(
        preset="debug",
        title="Crafter: the ladder in miniature",
        tasks=("collect_wood/manual", "place_table/tool"),
        episodes=6,
        review_episodes=2,
        review_states=4,
        align_states=4,
        on_policy_episodes=2,
        practice_rounds=1,
        practice_episodes=1,
        ahead_episodes=1,
        planning=replace(_FEW_PLANS, tasks=("place_table/tool",)),
        tokenizer_steps=30,
        tokenizer_held_out=16,
        vision_steps=10,
        base_steps=10,
        steps=20,
        second_steps=10,
        batch_size=8,
        fractions=(0.5,),
        evaluation_episodes=2,
        teacher_episodes=3,
        dreams=(1,),
        sweep=(2,),
        sweep_tasks=("place_table/tool",),
        chains=2,
        # An agent of 20 steps plays to the limit of every task, and does no more in 100 decisions than in 4.
        most_steps=4,
        compile=False,
    ),
)
_CRAFTER_MAP = LadderConfig(
    preset="small",
    title="Crafter: from nothing to RIG-lookahead, by a teacher that sees the whole map",
    episodes=100,
    review_episodes=40,
    tokenizer_steps=6000,
    vision_steps=2000,
    base_steps=1500,
    steps=3000,
    second_steps=3000,
    batch_size=8,
    fractions=(1 / 16, 1 / 8, 1 / 4, 1 / 2),
    epochs=6,
    dreams=(1,),
    sweep=(2, 3, 4, 5),
    # Neither always won nor never.
    sweep_tasks=("place_table/manual", "collect_wood/manual", "collect_stone/tool", "collect_coal/tool"),
)
LADDERS.add("crafter/small-map", _CRAFTER_MAP)
LADDERS.add(
    "crafter/small",
    replace(
        _CRAFTER_MAP,
        title="Crafter: from nothing to RIG-lookahead",
        teacher="crafter-frame",
        reasoner="crafter-frame",
        reviewer="crafter-frame",
        # Less of everything than small-map, so that it can be climbed in a day, and again: pages pool trainings.
        episodes=80,
        review_episodes=12,
        align_states=8,
        tokenizer_steps=4000,
        vision_steps=1500,
        base_steps=1200,
        steps=1600,
        second_steps=1300,
        # Of half as much, and of more descriptions, agents came out that were short of imitation.
        batch_size=16,
        second_describe_share=0.2,
        lookahead_share=0.5,
        history=8,
        on_policy=(0.2,),
        on_policy_episodes=20,
        fractions=(),
        sweep=(),
        evaluation_episodes=8,
        claim_episodes=25,
        chains=32,
        practice_rounds=2,
        practice_share=0.5,
        practice_describe_share=0.1,
        better_practice_share=0.5,
        ahead_episodes=8,
        planning=PlanningConfig(
            corrected=False,
            # Found or dug for by hand, which is where there is most to gain.
            tasks=("collect_stone/manual", "collect_coal/manual", "collect_iron/manual", "explore/manual"),
            episodes=4,
            shown=(8, 1),
            branch_episodes=3,
            held_out_episodes=3,
            states=6,
            proposals=6,
            judge_steps=400,
            # Still and blank frames, and no dreams, leave the first plan as it is: RIG-basic.
            rows=("own", "true", "other-plan", "other-episode", "majority", "random"),
            # It won less than drawing in the last two trainings.
            weighed=False,
            rounds=2,
            groups=14,
            decisions=768,
            # Four times as much undid an agent in four steps.
            improve_rate=5e-5,
        ),
    ),
)

_SIX = tuple(
    f"{task}/{setting}"
    for task in ("chop_a_tree", "break_grass", "collect_dirt", "dig_down", "go_explore", "build_a_tower")
    for setting in ("manual", "tool")
)
"""The tasks of the paper."""


LADDERS.add(
    "minetest/debug",
    LadderConfig(
        environment="minetest",
        preset="debug-128",
        title="Minetest: the ladder in miniature",
        tasks=("dig_down/tool", "build_a_tower/manual"),
        episodes=4,
        review_episodes=1,
        review_states=2,
        align_states=2,
        rehearsed_slips=0,
        patience=100,
        tokenizer_steps=20,
        tokenizer_held_out=8,
        vision_steps=5,
        vision_augment=True,
        base_steps=5,
        steps=10,
        second_steps=5,
        batch_size=4,
        planning=replace(_FEW_PLANS, tasks=("dig_down/tool",)),
        evaluation_episodes=1,
        worlds=2,
        chains=2,
        # As long as Crafter's.
        most_steps=6,
        compile=False,
    ),
)
LADDERS.add(
    "minetest/small",
    LadderConfig(
        environment="minetest",
        preset="small-128",
        title="Minetest: from nothing to RIG-lookahead",
        tasks=_SIX,
        episodes=40,
        # A slip undoes what was dug so far, and bare hands dig a trunk for 15 steps.
        noise=0.03,
        # Three in five of the expert's steps do what the one before did, most of them digging.
        repeats=0.25,
        review_episodes=4,
        align_states=6,
        # How long one has dug, and how far one has turned, no frame shows.
        history=8,
        on_policy=(0.3, 0.1),
        on_policy_episodes=8,
        corrections_tried=False,
        # Every slip is judged by playing its episode again, in an engine of its own.
        rehearsed_slips=0,
        # A tree takes bare hands a hundred steps.
        patience=200,
        tokenizer_steps=3000,
        vision_steps=2000,
        vision_augment=True,
        base_steps=1500,
        steps=2000,
        second_steps=1000,
        # With half as many, one looks at a part of the taught steps, and never a second time.
        batch_size=16,
        steps_per_episode=45,
        # More than twice what the teacher needs at the most, and a third of the tasks' own limit.
        most_steps=250,
        # Half the paper's: agents that fail play six times as long as the teacher.
        evaluation_episodes=5,
        teacher_episodes=50,
        worlds=16,
        dreams=(1,),
        sweep_tasks=("dig_down/tool", "chop_a_tree/tool"),
        chains=32,
        planning=PlanningConfig(
            plans=(2, 4),
            dreams=(0, 1),
            tasks=("chop_a_tree/tool", "collect_dirt/tool", "dig_down/tool", "build_a_tower/tool"),
            episodes=3,
            branch_episodes=1,
            held_out_episodes=1,
            states=4,
            proposals=4,
            judge_steps=400,
            # What truly comes of a plan is known by going back in the world, which takes seconds.
            rows=("own", "other-plan", "other-episode", "majority", "random"),
            # Clouds pass and the hand swings: nothing leaves a frame as it was.
            weighed=False,
            valued=0.02,
            rounds=1,
            groups=12,
            attempts=4,
            decisions=384,
        ),
    ),
)
