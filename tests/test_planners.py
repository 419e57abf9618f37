"""Planners: several plans from forks of one conversation, merged, dreamed, judged; and planners from elsewhere."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from choices import clearly
from test_policy import observations

from rig.actions import NOOP, Action
from rig.agents import (
    ACTORS,
    PLAN_JUDGES,
    PLANNERS,
    Basic,
    BestOf,
    DecisionState,
    Effect,
    Lookahead,
    PolicyConfig,
    PolicyDeciding,
    Resample,
    TeacherActor,
    TrueFuture,
    build_policy,
    choosing,
    merged,
    planner_of,
)
from rig.agents.checkpoint import AgentCheckpoint
from rig.agents.dream_sources import Fixed
from rig.agents.judges import has_effect
from rig.dialogue import PromptFormat
from rig.engine import Sampler
from rig.envs import Split, make_world
from rig.envs.forks import SimulatorDynamics
from rig.envs.rollout import PrivilegedDeciding
from rig.errors import RigError, UnknownNameError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied, play_config
from rig.records import Decision, Dream, Observation, Plan
from rig.teachers import TEACHERS

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

WARM = Sampler(temperature=1.0)


@pytest.fixture(scope="module")
def checkpoint(made):
    return AgentCheckpoint.load(made.agent)


def policy_of(checkpoint, planner, **changes):
    settings = {
        "prompt_format": checkpoint.prompt_format,
        "planner": planner,
        "thought_tokens": 8,
        "text": WARM,
        **changes,
    }
    return build_policy(checkpoint, PolicyConfig(**settings))


def press(key):
    return Action.press(key)


@dataclass(frozen=True)
class AtOnce:
    """Proposes as `BestOf` does, and dreams on in the very fork of each proposal: nothing is told again."""

    plans: int
    dreams: int

    def check(self, prompt_format):
        pass

    def decide(self, state):
        def way(fork):
            plan = yield from fork.answer()
            dreams = yield from fork.look_ahead(self.dreams)
            return replace(plan, dreams=dreams)

        yield from state.observe()
        plans = yield from state.fork([way] * self.plans)
        return state.decision(*plans)


def test_a_plan_that_is_told_again_is_dreamed_as_where_it_was_proposed(checkpoint):
    """Dreams are greedy, so they follow from what stands before them, token for token and position for position."""
    # Another frame for each seed, and one alone: among a few hundred codes one is narrow, on some processors always.
    planner = policy_of(checkpoint, AtOnce(2, 1))
    seed, at_once = clearly(lambda seed: planner.decide(observations(1, seed), [seed]), range(60))
    found = policy_of(checkpoint, BestOf(plans=2, dreams=1)).decide(observations(1, seed), [seed])
    for decision, plain in zip(found, at_once, strict=True):
        first = {plan.action: plan for plan in reversed(plain.plans)}
        assert len(decision.plans) == len(first) > 1
        for plan in decision.plans:
            assert plan.votes == sum(other.action == plan.action for other in plain.plans)
            assert plan.thought == first[plan.action].thought
            assert np.array_equal(plan.dreams[0].codes, first[plan.action].dreams[0].codes)
            assert plan.dreams[0].entropy > 0
            assert plan.score == 0


def test_the_majority_decides_and_of_equals_the_first(checkpoint):
    decisions = policy_of(checkpoint, BestOf(plans=12)).decide(observations(6), range(6))
    assert any(plan.votes > 1 for decision in decisions for plan in decision.plans)
    for decision in decisions:
        votes = [plan.votes for plan in decision.plans]
        assert sum(votes) == 12
        assert decision.chosen == votes.index(max(votes))
        best = decision.plans[decision.chosen]
        assert (decision.action, decision.thought, decision.dreams) == (best.action, best.thought, ())
        assert decision.review is None
        assert {plan.score for plan in decision.plans} == {None}, "nobody looked, so nothing was told again"


def test_the_first_proposal_is_what_would_be_done_without_others(checkpoint):
    """So that what a choice among several gains is not a matter of other draws."""
    seen = observations(3)

    def both(seed):
        seeds = range(seed, seed + 3)
        return policy_of(checkpoint, Basic()).decide(seen, seeds), policy_of(checkpoint, BestOf(plans=3)).decide(
            seen, seeds
        )

    _, (alone, chosen) = clearly(both)
    assert [(one.thought, one.action) for one in alone] == [
        (one.plans[0].thought, one.plans[0].action) for one in chosen
    ]
    assert any(len(one.plans) > 1 for one in chosen), "the others draw otherwise"


def test_plans_that_all_agree_are_not_dreamed(checkpoint):
    likeliest = Sampler(temperature=0.0)
    decision, other = policy_of(checkpoint, BestOf(plans=3, dreams=2), text=likeliest).decide(observations(2), [0, 1])
    basic, _ = policy_of(checkpoint, Basic(), text=likeliest).decide(observations(2), [0, 1])
    assert [plan.votes for plan in (*decision.plans, *other.plans)] == [3, 3]
    assert decision.cost.image_tokens == 0
    assert decision.action == basic.action
    assert decision.cost.text_tokens == 3 * basic.cost.text_tokens, "what forks write is counted"


@pytest.mark.parametrize("planner", [BestOf(plans=2, dreams=1), Lookahead(dreams=2), Resample(plans=3, refused=1.0)])
def test_a_decision_follows_from_its_observation_and_seed_alone(checkpoint, planner):
    seen = observations(2)
    policy = policy_of(checkpoint, planner, thought_tokens=2)
    seed, together = clearly(lambda seed: policy.decide(seen, range(seed, seed + 2)))
    (alone,) = policy.decide(seen[1:2], [seed + 1])
    assert [(plan.thought, plan.action, plan.votes) for plan in alone.plans] == [
        (plan.thought, plan.action, plan.votes) for plan in together[1].plans
    ]
    for plan, other in zip(alone.plans, together[1].plans, strict=True):
        for dream, beside in zip(plan.dreams, other.dreams, strict=True):
            assert np.array_equal(dream.codes, beside.codes)


def test_equal_proposals_are_merged():
    plans = [Plan(thought=str(number), action=press(key)) for number, key in enumerate(("use", "noop_", "use", "use"))]
    assert [(plan.thought, plan.votes) for plan in merged(plans)] == [("0", 3), ("1", 1)]


class Contrary:
    """Prefers what was proposed least; it has the plan's whole conversation before it."""

    looks = True

    def score(self, state, plan):
        assert state.slot.length > 81, "thought, action and dream stand before it"
        assert state.action == (plan.dreams[-1].action if plan.dreams else plan.action)
        yield from ()
        return -10.0 * plan.votes


def test_a_judge_is_asked_in_the_plans_own_fork_and_outweighs_votes(checkpoint, monkeypatch):
    monkeypatch.setitem(PLAN_JUDGES._entries, "contrary", Contrary)
    decisions = policy_of(checkpoint, BestOf(plans=12, dreams=1, judge="contrary")).decide(observations(3), range(3))
    assert any(len({plan.votes for plan in decision.plans}) > 1 for decision in decisions)
    for decision in decisions:
        votes = [plan.votes for plan in decision.plans]
        assert decision.plans[decision.chosen].votes == min(votes)
        assert [plan.score for plan in decision.plans if len(votes) > 1] == [-10.0 * number for number in votes]


def test_the_judge_of_change_prefers_the_dream_that_differs_most_from_what_is_seen(checkpoint):
    seen = observations(3)
    planner = BestOf(plans=4, dreams=2, judge="change", votes_weight=0.0)
    for decision, observation in zip(policy_of(checkpoint, planner).decide(seen, range(3)), seen, strict=True):
        if len(decision.plans) == 1:
            continue
        changes = [np.abs(plan.dreams[-1].frame.astype(float) - observation.frame).mean() for plan in decision.plans]
        np.testing.assert_allclose([plan.score for plan in decision.plans], changes)
        assert decision.chosen == changes.index(max(changes))


def tiled(size, *tiles, levels=7):
    """Return a grey frame, some of whose nine by nine tiles are brighter by so many levels."""
    edges = np.arange(10) * size // 9
    frame = np.full((size, size, 3), 100, np.uint8)
    for row, column in tiles:
        frame[edges[row] : edges[row + 1], edges[column] : edges[column + 1]] += levels
    return frame


@pytest.mark.parametrize("size", [9, 64, 144])
@pytest.mark.parametrize("tile", [(0, 0), (4, 7), (8, 8)])
def test_a_dream_has_an_effect_where_a_single_tile_differs(size, tile):
    assert has_effect(tiled(size), tiled(size, tile))
    assert not has_effect(tiled(size), tiled(size, tile, levels=6)), "as much as drawing it again may change"
    assert not has_effect(tiled(size), tiled(size))


def test_frames_are_compared_at_the_size_of_the_dream():
    assert not has_effect(tiled(288), tiled(144))
    assert has_effect(tiled(288), tiled(144, (2, 3), levels=20))
    assert has_effect(tiled(5), tiled(5) + np.uint8(7)), "smaller than the tiles are many"


def test_the_judge_of_effects_takes_no_plan_of_which_nothing_comes_where_there_is_another(checkpoint, monkeypatch):
    """Of the others the first, however many proposals chose the next; with votes, the one that most chose."""
    seen, shown, chosen = observations(4), [], []
    planner = BestOf(plans=6, dreams=1, judge="effect")
    for parity in (0, 1):

        def effect(frame, dreamed, parity=parity):
            shown.append(frame)
            return dreamed.sum() % 2 == parity

        monkeypatch.setattr("rig.agents.judges.has_effect", effect)
        for decision in policy_of(checkpoint, planner).decide(seen, range(4)):
            works = [plan.dreams[-1].frame.sum() % 2 == parity for plan in decision.plans if plan.dreams]
            assert decision.chosen == (works.index(True) if any(works) else 0)
            assert [plan.score for plan in decision.plans if plan.dreams] == [0 if good else -20 for good in works]
            chosen.append(decision.chosen)
        for decision in policy_of(checkpoint, replace(planner, votes_weight=1.0)).decide(seen, range(4)):
            best, works = decision.plans[decision.chosen], [plan for plan in decision.plans if plan.score == 0]
            assert best.votes == max(plan.votes for plan in works or decision.plans)
    assert 0 in chosen
    assert max(chosen) > 0, "nothing comes of the first"
    assert {id(frame) for frame in shown} == {id(observation.frame) for observation in seen}


def test_a_plan_is_in_vain_as_soon_as_a_dream_of_it_shows_what_is_seen():
    seen, other = np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 200, np.uint8)
    state = DecisionState(
        speaker=None, observation=Observation(frame=seen, instruction="", previous_action=NOOP), slot=None
    )

    def score(*frames):
        plan = Plan(thought=None, action=NOOP, dreams=tuple(Dream(thought=None, action=NOOP, frame=f) for f in frames))
        return ended(Effect().score(state, plan))

    assert [score(), score(other), score(other, other)] == [0, 0, 0]
    assert [score(seen), score(seen, other), score(other, seen)] == [-20, -20, -20]


def ended(conversation):
    """Return what a conversation returns that asks for nothing."""
    with pytest.raises(StopIteration) as end:
        next(conversation)
    return end.value.value


class Parity:
    """Refuses a plan by the sum of its last dream's pixels, and counts whom it was asked about."""

    looks, asked, refuses = True, [], 0

    def score(self, state, plan):
        yield from ()
        self.asked.append(plan)
        return -5.0 if plan.dreams[-1].frame.sum() % 2 == self.refuses else 0.0


def test_other_plans_are_proposed_where_the_first_is_refused(checkpoint, monkeypatch):
    """The first plan is RIG-basic's and always dreamed; of the others the first that is not refused is taken."""
    monkeypatch.setitem(PLAN_JUDGES._entries, "parity", Parity)
    seen, chosen, told = observations(4), [], 0

    for refuses in (0, 1):
        monkeypatch.setattr(Parity, "refuses", refuses)
        monkeypatch.setattr(Parity, "asked", [])
        decisions = policy_of(checkpoint, Resample(plans=5, judge="parity")).decide(seen, range(4))
        for decision in decisions:
            first, *others = decision.plans
            assert (len(first.dreams), first.votes) == (1, 1)
            refused = [plan.score == -5 for plan in decision.plans]
            assert decision.chosen == (refused.index(False) if not all(refused) else 0)
            assert decision.action == decision.plans[decision.chosen].action
            if others:
                assert refused[0], "who is content asks for no others"
                assert first.action not in {plan.action for plan in others}
                assert sum(plan.votes for plan in others) <= 4
            else:
                told += 1
            chosen.append(decision.chosen)
        assert len(Parity.asked) == sum(len(decision.plans) for decision in decisions)
    assert told, "some first plans are not refused"
    assert max(chosen) > 0, "and some others are taken"


def test_nothing_else_is_done_where_no_dream_is_refused(checkpoint):
    """With one proposal, or a judge that is content, it decides as RIG-basic, and has dreamed."""
    seen = observations(3)

    def both(seed):
        seeds = range(seed, seed + 3)
        ways = (Basic(), Resample(plans=1), Resample(plans=4, refused=-100.0))
        return [policy_of(checkpoint, way).decide(seen, seeds) for way in ways]

    _, (alone, *others) = clearly(both)
    for decisions in others:
        for basic, decision in zip(alone, decisions, strict=True):
            assert (decision.thought, decision.action) == (basic.thought, basic.action)
            assert [len(plan.dreams) for plan in decision.plans] == [1]
            assert decision.cost.text_tokens == basic.cost.text_tokens


def test_the_judge_of_stillness_refuses_plans_of_which_nothing_may_well_come(checkpoint):
    """Nothing is drawn; the frame that is seen is weighed as if the plan had led to it, and refused by how likely."""
    seen = observations(4)
    planner = Resample(plans=5, judge="stillness", refused=1e9)
    decisions = policy_of(checkpoint, planner).decide(seen, range(4))
    scores = [plan.score for decision in decisions for plan in decision.plans]
    assert [decision.chosen for decision in decisions] == [0] * 4, "where all are refused, the first is done"
    assert len(scores) > 4, "others are proposed"
    assert not any(plan.dreams for decision in decisions for plan in decision.plans)
    assert {decision.cost.image_tokens for decision in decisions} == {0}
    between = float(np.median(scores))
    for decision in policy_of(checkpoint, replace(planner, refused=between)).decide(seen, range(4)):
        refused = [plan.score < between for plan in decision.plans]
        assert decision.chosen == (0 if all(refused) else refused.index(False))
        assert refused[0] == (len(decision.plans) > 1)
    assert -8 < min(scores) < max(scores), "nats above eight"


def test_the_judge_of_stillness_is_certain_of_what_is_shown_in_place_of_dreams(checkpoint):
    seen = observations(2)
    policy = policy_of(checkpoint, Resample(plans=2, judge="stillness"))
    still = Fixed(lambda frame: frame)
    assert [plan.score for one in policy.decide(seen, range(2), [still] * 2) for plan in one.plans[:1]] == [-8, -8]
    other = Fixed(lambda frame: 255 - frame)
    assert {one.plans[0].score for one in policy.decide(seen, range(2), [other] * 2)} == {992}


def test_what_weighs_one_step_is_not_asked_of_more(checkpoint):
    for planner in (Resample(plans=2, dreams=2, judge="stillness"), BestOf(plans=2, judge="stillness")):
        with pytest.raises(RigError, match="'stillness' weighs what comes of one step; take dreams=1"):
            policy_of(checkpoint, planner)


def test_plans_are_dreamed_no_further_than_what_the_model_is_unsure_of(checkpoint):
    """A limit amid the entropies of the first dreams stops some plans there, and lets the others go on."""

    def entropies(**limit):
        (decision,) = policy_of(checkpoint, BestOf(plans=5, dreams=2, **limit)).decide(observations(1), [3])
        return [[dream.entropy for dream in plan.dreams] for plan in decision.plans]

    whole = entropies()
    assert len(whole) > 1
    assert {len(plan) for plan in whole} == {2}
    limit = sum(first for first, _ in whole) / len(whole)
    stopped = entropies(stop_entropy=limit)
    assert sorted({len(plan) for plan in stopped}) == [1, 2]
    for first, *second in stopped:
        assert bool(second) == (first <= limit)


def test_an_oracle_shows_each_plan_its_own_future(made, checkpoint):
    """Also to the second step of each, whoever asked before."""
    world, spare, lived = (make_world("crafter") for _ in range(3))
    world.reset(seed=world.episode_seeds(world.tasks["collect_wood"], "manual", Split.VALIDATION, 1)[0])
    frame, state = world.act(NOOP)[0], world.save()
    seen = Observation(frame=frame, instruction="collect wood", previous_action=NOOP)
    policy = policy_of(checkpoint, BestOf(plans=6, dreams=2))
    (decision,) = policy.decide([seen], [1], [TrueFuture(SimulatorDynamics(spare, world))])
    assert len(decision.plans) > 2
    for plan in decision.plans:
        lived.load(state)
        for dream in plan.dreams:
            assert np.array_equal(lived.act(dream.action)[0], dream.frame)


def test_decisions_say_how_their_texts_were_written(checkpoint):
    """Ids always; how likely they were where that is asked for, and of what was decided for."""
    seen = observations(2)
    for planner in (Basic(), Lookahead(), BestOf(plans=3)):
        plain = policy_of(checkpoint, planner).decide(seen, [1, 2])
        scored = policy_of(checkpoint, planner, log_probs=True).decide(seen, [1, 2])
        for decision, other in zip(scored, plain, strict=True):
            assert other.tokens.log_probs is None
            assert np.array_equal(decision.tokens.ids, other.tokens.ids)
            assert len(decision.tokens.ids) == len(decision.tokens.log_probs) > 0
            assert (decision.tokens.log_probs <= 0).all()
            written = checkpoint.tokenizer.decode(decision.tokens.ids.tolist())
            assert checkpoint.space.format(decision.action) in written


@dataclass(frozen=True, kw_only=True)
class Stubborn:
    """A planner from elsewhere: proposes some ways, and takes the last of them."""

    ways: int = 2
    dreams: int = 0

    def check(self, prompt_format):
        if not prompt_format.thought:
            raise RigError("stubbornness needs thoughts")

    def decide(self, state):
        yield from state.observe()
        plans = yield from state.fork([DecisionState.answer] * self.ways)
        return state.decision(*plans, chosen=self.ways - 1)


@pytest.fixture
def stubborn(monkeypatch):
    monkeypatch.setitem(PLANNERS._entries, "stubborn", Stubborn)


def evaluation(made, **changes):
    return EmbodiedConfig(
        agent=str(made.agent),
        tasks=("place_table/tool",),
        episodes=1,
        most_steps=3,
        thought_tokens=6,
        dtype="float32",
        **changes,
    )


def test_a_planner_from_elsewhere_plays(made, stubborn, tmp_path):
    config = evaluation(made, planner="stubborn", planner_options=("ways=3",))
    summary = evaluate_embodied(config, tmp_path / "out")
    assert summary["config"]["planner_options"] == ("ways=3",)
    assert summary["cost_per_decision"]["image_tokens"] == 0
    one = evaluate_embodied(evaluation(made), tmp_path / "one")["cost_per_decision"]["text_tokens"]
    assert summary["cost_per_decision"]["text_tokens"] > 2 * one


def test_several_plans_play(made, tmp_path):
    (played,) = play_config(evaluation(made, plans=3, dreams=1, follow_dreams=True, temperature=1.0))
    dreamed = [step for step in played.trajectory.steps if step.dreams]
    assert dreamed, "at full temperature an untrained network does not agree with itself"
    for step in dreamed:
        assert step.review is None
        assert step.dreams[0].action == step.action
        assert step.dreams[0].real_frame is not None
    summary = evaluate_embodied(evaluation(made, plans=2), tmp_path / "out")
    assert summary["config"]["plans"] == 2
    assert summary["reviews"] == {}


def test_mistakes_are_named(made, checkpoint, stubborn, tmp_path):
    for changes, message in (
        ({"planner": "best_of"}, r"unknown planner 'best_of'. Did you mean 'best-of'"),
        ({"planner": "best-of", "planner_options": ("plan=3",)}, r"planner 'best-of' has an unknown field 'plan'"),
        ({"planner": "best-of", "planner_options": ("plans=true",)}, r"planner 'best-of': .*`plans`"),
        ({"planner": "best-of", "planner_options": ("plans=0",)}, r"plans=0 and dreams=0: at least 1"),
        ({"planner": "best-of", "planner_options": ("plans",)}, r"'plans': write each as name=value"),
        ({"planner_options": ("plans=3",)}, r"those of a --planner; name it"),
        ({"plans": 3, "judge": "oracle"}, r"unknown judge of plans 'oracle'"),
        (
            {"plans": 3, "resample": True},
            r"the judge 'majority' finds all plans alike, and so refuses none; take 'effect'",
        ),
        (
            {"plans": 3, "resample": True, "judge": "said", "dreams": 1},
            r"has not learned to say what its plans are worth",
        ),
        ({"planner": "resample", "planner_options": ("dreams=-1",)}, r"plans=7 and dreams=-1: at least 1 and 0"),
    ):
        with pytest.raises((RigError, UnknownNameError), match=message):
            evaluate_embodied(evaluation(made, **changes), tmp_path / "out")
    with pytest.raises(RigError, match="plans"):
        evaluation(made, plans=0)
    blind = PromptFormat(dream=False)
    for planner in (BestOf(dreams=1), Basic(imagine=True), Lookahead(dreams=2), Resample()):
        with pytest.raises(RigError, match="without dreams"):
            PolicyConfig(prompt_format=blind, planner=planner)
    with pytest.raises(RigError, match="needs thoughts"):
        PolicyConfig(prompt_format=PromptFormat(thought=False), planner=planner_of("stubborn", {}))
    assert planner_of("lookahead", {"dreams": 3, "stop_entropy": 2}) == Lookahead(dreams=3, stop_entropy=2.0)


class Parrot:
    """An actor from elsewhere, called `parrot:KEY`: it presses that key for ever, and sees nothing but observations."""

    def world(self, name, environment):
        return environment or "crafter"

    def actor(self, name, spare, how):
        spare.actions.check(Action.press(name))
        return Pressing(name, how.temperature)

    def short_name(self, name):
        return f"parrot of {name}"


class Pressing:
    def __init__(self, key, temperature):
        self.key, self.temperature, self.asked = key, temperature, []

    def deciding(self, places):
        return self

    def submit(self, key, observation, seed):
        assert observation.frame.dtype == np.uint8
        self.asked.append(key)

    def next(self):
        return self.asked.pop(0), Decision(action=Action.press(self.key))


def test_an_actor_from_elsewhere_is_called_by_its_kind(monkeypatch, tmp_path):
    monkeypatch.setitem(ACTORS._entries, "parrot", Parrot)
    config = EmbodiedConfig(agent="parrot:move_left", tasks=("place_table/tool",), episodes=2, most_steps=4)
    kept = []
    summary = evaluate_embodied(config, tmp_path / "out", keep=kept)
    assert summary["episodes"] == 2
    assert {step.action for trajectory in kept for step in trajectory.steps} == {press("move_left")}
    assert {trajectory.lineage.actor for trajectory in kept} == {"parrot of move_left"}
    with pytest.raises(RigError, match=r"agent\.json is missing"):
        evaluate_embodied(replace(config, agent="raven:move_left"), tmp_path / "none")
    with pytest.raises(RigError, match="fly"):
        evaluate_embodied(replace(config, agent="parrot:fly"), tmp_path / "none")


def test_only_who_says_so_is_shown_the_worlds():
    """A teacher's decisions are made from worlds; a policy's have no way to be handed one."""
    teacher = TeacherActor(TEACHERS.get("crafter")()).deciding(1)
    assert isinstance(teacher, PrivilegedDeciding)
    assert not hasattr(PolicyDeciding, "see")
    assert not isinstance(Pressing("use", 0.0), PrivilegedDeciding)


def test_how_one_of_several_plans_is_taken():
    assert choosing(1, 0, "majority") == Basic()
    assert choosing(4, 1, "change", votes_weight=0.5) == BestOf(plans=4, dreams=1, judge="change", votes_weight=0.5)
    assert choosing(4, 1, "effect", resample=True) == Resample(plans=4, dreams=1, judge="effect")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"plans": 1, "dreams": 1}, r"dreams=1 and resample=False of one plan: .* --plans of 2 or more"),
        ({"plans": 1, "dreams": 0, "resample": True}, r"dreams=0 and resample=True of one plan"),
        ({"plans": 4, "dreams": 1, "resample": True, "votes_weight": 2.0}, r"votes_weight=2 beside resample: .* leave"),
    ],
)
def test_nothing_is_asked_that_would_go_unheard(asked, message):
    with pytest.raises(RigError, match=message):
        choosing(judge="effect", **asked)
