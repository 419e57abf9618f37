"""Dream sources: every substitute shows what it says, in the place of dreams and nowhere else."""

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from choices import clearly
from makers import make_lively_agent
from test_planners import policy_of
from test_policy import observations

from rig.agents import (
    DREAM_SOURCES,
    OWN,
    BestOf,
    DecisionState,
    DreamSource,
    Fixed,
    Lookahead,
    OtherEpisode,
    OtherPlan,
    SubstitutingActor,
)
from rig.agents.checkpoint import AgentCheckpoint
from rig.engine import Sampler
from rig.envs import Split, make_world, split_of
from rig.envs.rollout import PrivilegedDeciding
from rig.errors import RigError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied, play_config
from rig.records import fake_dream

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

SEVERAL = BestOf(plans=6, dreams=1, judge="change", votes_weight=0.0)
KEYS = make_world("crafter").alternatives()


@pytest.fixture(scope="module")
def agent(made, tmp_path_factory):
    return make_lively_agent(made.agent, tmp_path_factory.mktemp("lively") / "agent")


@pytest.fixture(scope="module")
def checkpoint(agent):
    return AgentCheckpoint.load(agent)


def shown(policy, substitutes, seed=0):
    """Return decisions in which something is shown, and the frames that were observed."""
    seen = observations(len(substitutes))
    return policy.decide(seen, range(seed, seed + len(seen)), substitutes), seen


def test_a_judge_of_change_finds_none_in_still_copies_and_takes_the_first_plan(checkpoint):
    policy = policy_of(checkpoint, SEVERAL)
    decisions, seen = shown(policy, [Fixed(np.copy)] * 3)
    assert any(len(decision.plans) > 1 for decision in decisions)
    for decision, observation in zip(decisions, seen, strict=True):
        for plan in decision.plans if len(decision.plans) > 1 else ():
            assert plan.score == 0
            assert np.array_equal(plan.dreams[0].frame, observation.frame)
        assert decision.chosen == 0
        assert decision.cost.image_tokens == 0, "nothing is drawn"
    own, _ = shown(policy, [None] * 3)
    assert any(plan.score for decision in own for plan in decision.plans)


def test_what_is_shown_stands_in_the_conversation_as_codes_and_is_read_back(checkpoint):
    """Black frames are not the observed ones, and a review that reads another dream costs the same."""
    policy = policy_of(checkpoint, Lookahead(dreams=2))
    blank, seen = shown(policy, [Fixed(np.zeros_like)] * 2)
    still, _ = shown(policy, [Fixed(np.copy)] * 2)
    codes = policy.engine.encode_images(np.zeros_like(seen[0].frame)[None])[0]
    for decision in blank:
        assert len(decision.dreams) == 2
        for dream in decision.dreams:
            assert not dream.frame.any()
            assert np.array_equal(dream.codes, codes)
    proposals = [[(one.plans[0].thought, one.action) for one in some] for some in (blank, still)]
    assert [thought for thought, _ in proposals[0]] == [thought for thought, _ in proposals[1]], "seeds are the same"


def test_what_is_shown_changes_what_a_review_reads(checkpoint):
    """The very logits of a greedy review's first word differ with the frame: reviews are not blind to it."""
    policy = policy_of(checkpoint, Lookahead(), log_probs=True)
    still, _ = shown(policy, [Fixed(np.copy)] * 2)
    blank, _ = shown(policy, [Fixed(np.zeros_like)] * 2)
    for one, other in zip(still, blank, strict=True):
        assert one.tokens.log_probs[0] != other.tokens.log_probs[0]


def test_another_plans_dream_is_the_next_plans_own(checkpoint):
    policy = policy_of(checkpoint, replace(SEVERAL, plans=4), thought_tokens=4)
    seed, (own, _) = clearly(lambda seed: shown(policy, [None], seed))
    others, _ = shown(policy, [OtherPlan(KEYS, 1)], seed)
    compared = 0
    for decision, exchanged in zip(own, others, strict=True):
        plans = decision.plans
        assert [plan.action for plan in exchanged.plans] == [plan.action for plan in plans]
        for number, plan in enumerate(exchanged.plans if len(plans) > 1 else ()):
            following = plans[(number + 1) % len(plans)].dreams[0]
            assert np.array_equal(plan.dreams[0].codes, following.codes)
            assert np.array_equal(plan.dreams[0].frame, following.frame)
            assert plan.dreams[0].action == plan.action, "the plan itself stays what it was"
            compared += 1
    assert compared > 1
    assert len({plan.dreams[0].codes.tobytes() for plan in own[0].plans}) > 1, "dreams differ"


@dataclass(frozen=True)
class Retold:
    """Dreams of a plan that is given."""

    plan: object
    dreams: int

    def check(self, prompt_format):
        pass

    def decide(self, state):
        yield from state.observe()
        yield from state.retell(self.plan)
        dreams = yield from state.look_ahead(self.dreams)
        return state.decision(replace(self.plan, dreams=dreams))


@pytest.mark.parametrize("wants", ["one thing alone", "others"])
def test_a_lookahead_is_shown_what_it_dreams_of_something_else(checkpoint, monkeypatch, wants):
    """One that it proposes when it is asked again; where it always wants the same, any other action."""
    told, retell = [], DecisionState.retell

    def telling(state, plan):
        told.append(plan)
        return retell(state, plan)

    monkeypatch.setattr(DecisionState, "retell", telling)
    heat = replace(policy_of(checkpoint, SEVERAL).config.text, temperature=0.0 if wants == "one thing alone" else 1.0)
    policy = policy_of(checkpoint, Lookahead(), text=heat)
    ((decision,), _) = shown(policy, [OtherPlan(KEYS, 1)])
    (other,) = told
    assert other.action != decision.plans[0].action
    assert (other.tokens is None) == (wants == "one thing alone")
    assert decision.dreams[0].action == decision.plans[0].action
    (again,) = policy_of(checkpoint, Retold(other, 1), text=heat).decide(observations(1), [0])
    assert np.array_equal(again.dreams[0].codes, decision.dreams[0].codes)


def test_a_deep_lookahead_is_shown_the_other_plans_way_step_by_step(checkpoint):
    source = OtherPlan(KEYS, 3)
    ((decision,), _) = shown(policy_of(checkpoint, Lookahead(dreams=3)), [source])
    assert len(decision.dreams) == len(source._dreams) == 3
    for dream, other in zip(decision.dreams, source._dreams, strict=True):
        assert np.array_equal(dream.codes, other.codes)
    assert decision.dreams[0].action != source._dreams[0].action


def test_a_conversation_aside_leaves_no_trace(checkpoint):
    """What is written behind it is what would have been written without it; its cost is counted."""

    @dataclass(frozen=True)
    class Aside:
        dreams: int = 1
        asks: bool = True

        def check(self, prompt_format):
            pass

        def decide(self, state):
            def other(beside):
                assert beside.slot.length == 0
                assert beside.slot is not state.slot
                yield from beside.observe()
                yield from beside.answer()
                yield from beside.dream()

            yield from state.observe()
            if self.asks:
                yield from state.aside(other)
            plan = yield from state.answer()
            yield from state.dream()
            return state.decision(replace(plan, dreams=tuple(state.dreams)))

    seen = observations(2)
    seed, found = clearly(lambda seed: policy_of(checkpoint, Aside()).decide(seen, [seed, seed + 1]))
    plain = policy_of(checkpoint, Aside(asks=False)).decide(seen, [seed, seed + 1])
    for one, other in zip(found, plain, strict=True):
        assert (one.thought, one.action) == (other.thought, other.action)
        assert np.array_equal(one.dreams[0].codes, other.dreams[0].codes)
        assert one.cost.image_tokens == 2 * other.cost.image_tokens
        assert one.cost.read_tokens > other.cost.read_tokens


def test_dreams_from_elsewhere_follow_from_the_seed_and_the_plan(checkpoint):
    random = np.random.default_rng(0)
    pool = [replace(fake_dream(random, size=64), codes=None) for _ in range(9)]
    policy = policy_of(checkpoint, SEVERAL)
    drawn = defaultdict(set)
    for _ in range(2):
        decisions, _ = shown(policy, [OtherEpisode(pool)] * 4)
        for number, decision in enumerate(decisions):
            for plan in decision.plans if len(decision.plans) > 1 else ():
                frames = [index for index, dream in enumerate(pool) if dream.frame is plan.dreams[0].frame]
                drawn[number, plan.action].update(frames)
    assert {len(found) for found in drawn.values()} == {1}, "the same again"
    assert len(set.union(*drawn.values())) > 2, "and not one for all"


def evaluation(agent, **changes):
    settings = {"tasks": ("place_table/tool",), "episodes": 1, "most_steps": 3, "thought_tokens": 6, "dreams": 1}
    return EmbodiedConfig(agent=str(agent), dtype="float32", **settings | changes)


def dreams_in(config):
    return [step for one in play_config(config) for step in one.trajectory.steps]


def test_sources_are_called_by_their_names_in_play(agent):
    assert set(DREAM_SOURCES.names()) == {OWN, "true", "still", "other-plan", "other-episode", "blank"}
    for step in dreams_in(evaluation(agent, dreams_from="still")):
        assert np.array_equal(step.dreams[0].frame, step.frame)
    for step in dreams_in(evaluation(agent, dreams_from="blank")):
        assert not step.dreams[0].frame.any()
    true = dreams_in(evaluation(agent, dreams_from="true", plans=2))
    again = dreams_in(evaluation(agent, true_dreams=True, plans=2))
    assert [step.action for step in true] == [step.action for step in again]
    assert all(np.array_equal(step.dreams[0].frame, step.next_frame) for step in true if step.dreams)


def test_dreams_of_other_episodes_are_this_agents_own_of_training_worlds(agent, checkpoint, monkeypatch):
    monkeypatch.setattr("rig.agents.dream_sources._POOL_STEPS", 4)
    steps = dreams_in(evaluation(agent, dreams_from="other-episode"))
    policy = policy_of(checkpoint, Lookahead(), thought_tokens=6, text=Sampler(temperature=0.5))
    world = make_world("crafter")
    source = DREAM_SOURCES.get("other-episode")(policy, world, ("place_table/tool",))
    source.prepare()
    assert len(source.pool) == 4
    prepared = source.pool
    source.prepare()
    assert source.pool is prepared, "played once"
    assert all(dream.codes is not None and dream.entropy > 0 for dream in source.pool)
    assert {split_of(episode.seed) for episode in source._episodes()} == {Split.TRAIN}
    pool = {dream.codes.tobytes() for dream in source.pool}
    assert {step.dreams[0].codes.tobytes() for step in steps} <= pool
    assert not pool & {step.dreams[0].codes.tobytes() for step in dreams_in(evaluation(agent))}


class Night(DreamSource):
    """A source from elsewhere."""

    def substitute(self, world):
        return Fixed(lambda seen: seen // 4)


def test_a_source_from_elsewhere_is_called_by_its_name(agent, monkeypatch):
    monkeypatch.setitem(DREAM_SOURCES._entries, "night", Night)
    for step in dreams_in(evaluation(agent, dreams_from="night")):
        assert np.array_equal(step.dreams[0].frame, step.frame // 4)
    policy = policy_of(AgentCheckpoint.load(agent), Lookahead())
    deciding = SubstitutingActor(policy, Night(policy, make_world("crafter"))).deciding(1)
    assert isinstance(deciding, PrivilegedDeciding)
    with pytest.raises(NotImplementedError):
        DreamSource(policy, make_world("crafter")).substitute(make_world("crafter"))


def test_the_judge_of_chance_differs_from_decision_to_decision_and_not_from_run_to_run(checkpoint):
    seen = observations(1) * 12
    policy = policy_of(checkpoint, BestOf(plans=6, judge="chance", votes_weight=0.0))
    decisions, again = (policy.decide(seen, range(12)) for _ in range(2))
    assert [one.chosen for one in decisions] == [one.chosen for one in again]
    several = [decision for decision in decisions if len(decision.plans) > 1]
    assert len({decision.chosen > 0 for decision in several}) == 2
    ranks = {decision.plans[0].action: set() for decision in several}
    for decision in several:
        ranks[decision.plans[0].action].add(round(decision.plans[0].score, 6))
    assert any(len(found) > 1 for found in ranks.values()), "the same plan in the same frame, with another seed"


def test_mistakes_are_named(agent, tmp_path):
    for changes, message in (
        ({"dreams_from": "stil"}, r"unknown dream source 'stil'. Did you mean 'still'"),
        ({"dreams_from": "still", "dreams": 0}, r"'still' dreams stand in for an agent's own.*--dreams of 1 or more"),
    ):
        with pytest.raises(RigError, match=message):
            evaluate_embodied(evaluation(agent, **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RigError, match="--true-dreams and --dreams-from blank: only one"):
        evaluation(agent, true_dreams=True, dreams_from="blank")
