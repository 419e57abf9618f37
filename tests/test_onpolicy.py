"""S1 on policy: what a record claims is lived again, and learned as a teacher's own play is."""

from dataclasses import replace

import numpy as np
import pytest
from makers import QUICK, TASKS, agent_training, fail_engine
from test_stages import relive

from rig.actions import NOOP, Action
from rig.agents import BestOf, PolicyConfig, build_policy
from rig.agents.checkpoint import AgentCheckpoint, read_agent
from rig.annotators import CHECKERS
from rig.cli.main import main
from rig.data import Dataset
from rig.dialogue import USUAL, PromptFormat, TurnWeights, basic_conversation, flaw, parse_conversation
from rig.dialogue.prompt import NEXT_FRAME
from rig.engine import Sampler
from rig.envs.crafter.world import CrafterWorld
from rig.envs.rollout import Episode
from rig.errors import DatasetError, RigError, SimulatorError
from rig.records import CORRECTION, POLICY, PRACTICE, TEACHER, Plan, Step
from rig.stages import CollectConfig, PlayerConfig, ReasonConfig, RehearseConfig, collect, collect_on_policy, reason
from rig.stages.lookahead import ReviewBuilder
from rig.stages.s1_onpolicy import is_better
from rig.stages.s4_rehearse import rehearse_episode
from rig.teachers import TEACHERS
from rig.train import DataPart, train_agent
from rig.train.config import Mixture
from rig.train.mixture import parts_of, sources_of

FEW = CollectConfig(tasks=TASKS, episodes=2, skip=4)
CLUMSY = PlayerConfig(player="teacher:random", mixture=0.5, batch_size=3, most_steps=12)


def executed(trajectory):
    """Return what was really done at each step but the last."""
    return [step.previous_action for step in trajectory.steps[1:]]


def policy_of(made, **settings):
    """Return the agent as it plays alone, at temperature 1."""
    checkpoint = AgentCheckpoint.load(made.agent).for_running("float32")
    text = Sampler(temperature=1.0)
    return build_policy(checkpoint, PolicyConfig(prompt_format=checkpoint.prompt_format, text=text, **settings))


def decided_alone(policy, trajectory):
    """Return what it decides at each step of an episode, drawing as it does there."""
    episode = Episode(task=trajectory.task, setting=trajectory.setting, seed=trajectory.seed)
    seeds = [episode.decision_seed(step.index) for step in trajectory.steps]
    return policy.decide([step.observation for step in trajectory.steps], seeds)


def as_executed(trajectory):
    """Return a trajectory as it was played, as far as it can be told."""
    done = zip(trajectory.steps, [*executed(trajectory), trajectory.steps[-1].action], strict=True)
    return trajectory.with_steps(tuple(replace(step, action=action) for step, action in done))


@pytest.fixture(scope="module")
def clumsy(tmp_path_factory):
    return collect_on_policy(FEW, CLUMSY, tmp_path_factory.mktemp("clumsy") / "s1")


@pytest.fixture(scope="module")
def thought(clumsy):
    return reason(clumsy.path, ReasonConfig(), clumsy.path.parent / "s2")


def check_lived(trajectory):
    """Live an episode again: what the teacher does in each state, and what comes of it, is what is recorded."""
    teacher = TEACHERS.get("crafter")()
    world, moments = relive(as_executed(trajectory))
    assert trajectory.lineage.actor == f"teacher:random beside {teacher.name}"
    for step, moment in zip(trajectory.steps, moments, strict=True):
        assert np.array_equal(step.frame, world.load(moment.state))
        assert step.privileged == moment.facts
        assert step.action == teacher.act(world)
        frame, reward, *_ = world.act(step.action)
        assert np.array_equal(step.next_frame, frame)
        assert step.reward == (reward if step.actor == TEACHER else 0.0)
        assert (step.thought, step.dreams, step.review) == (None, (), None)
    for step, done in zip(trajectory.steps, executed(trajectory), strict=False):
        assert step.actor == (TEACHER if done == step.action else CORRECTION)


def test_every_step_has_what_the_teacher_would_do_and_what_would_come_of_it(clumsy):
    assert len(clumsy) == 2 * len(TASKS)
    for trajectory in clumsy:
        check_lived(trajectory)
    assert {step.actor for step in clumsy.steps()} == {TEACHER, CORRECTION}
    clumsy.verify()


def test_the_share_of_the_teacher_is_the_one_asked_for(tmp_path, clumsy):
    assert 0.4 < np.mean([step.actor == TEACHER for step in clumsy.steps()]) < 0.8, "a random key is right at times"
    alone = collect_on_policy(FEW, replace(CLUMSY, mixture=1.0), tmp_path / "all")
    taught = collect(replace(FEW, noise=0.0), tmp_path / "taught")
    for found, wanted in zip(alone, taught, strict=True):
        assert [step.action for step in found.steps] == [step.action for step in wanted.steps[:12]]
    assert {step.actor for step in alone.steps()} == {TEACHER}
    never = collect_on_policy(FEW, replace(CLUMSY, mixture=0.0), tmp_path / "none")
    assert np.mean([step.actor == TEACHER for step in never.steps()]) < 0.25


def test_one_configuration_is_one_dataset_in_any_company(tmp_path, clumsy):
    for number in (1, 4):
        again = collect_on_policy(FEW, replace(CLUMSY, batch_size=number), tmp_path / str(number))
        assert again.content_hash == clumsy.content_hash
    other = collect_on_policy(replace(FEW, seed=1), CLUMSY, tmp_path / "other")
    assert other.ids == clumsy.ids
    assert other.content_hash != clumsy.content_hash


@pytest.fixture(scope="module")
def own(made, tmp_path_factory):
    player = PlayerConfig(player=str(made.agent), most_steps=4, dtype="float32", temperature=1.0)
    return collect_on_policy(replace(FEW, episodes=1), player, tmp_path_factory.mktemp("own") / "s1")


def test_an_agent_is_asked_what_it_is_asked_when_it_plays_alone(made, own):
    assert own.info.config["player"].startswith("basic/agent@")
    policy = policy_of(made)
    for trajectory in own:
        decided = decided_alone(policy, trajectory)
        assert [decision.action for decision in decided[:-1]] == executed(trajectory)
        assert len(trajectory.steps) == 4


def test_what_an_agent_does_itself_is_kept_to_be_dreamed_about(made, own, tmp_path, monkeypatch):
    """The same episodes, as the agent thought and played them; nothing of its words is learned.

    Nothing is gone back to.
    """
    player = PlayerConfig(player=str(made.agent), most_steps=4, dtype="float32", temperature=1.0, record="done")
    with monkeypatch.context() as patch:
        patch.setattr(CrafterWorld, "can_save", False)
        with pytest.raises(RigError, match=r"a player that a teacher corrects .* --record done"):
            collect_on_policy(FEW, replace(player, record="said"), tmp_path / "corrected")
        practice = collect_on_policy(replace(FEW, episodes=1), player, tmp_path / "practice")
    assert practice.ids == own.ids
    policy = policy_of(made)
    for trajectory, said in zip(practice, own, strict=True):
        decided = decided_alone(policy, trajectory)
        assert [(step.thought, step.action) for step in trajectory.steps] == [(d.thought, d.action) for d in decided]
        assert [step.action for step in trajectory.steps[:-1]] == executed(said)
        _, moments = relive(trajectory)
        for step, after in zip(trajectory.steps[:-1], moments[1:], strict=True):
            assert step.actor == PRACTICE
            assert np.array_equal(step.next_frame, after.frame)
            assert USUAL.turns(step, "basic") == [TurnWeights(text=0.0, image=1.0)]


def test_what_it_found_better_than_its_first_plan_and_came_is_kept_to_be_imitated(made, tmp_path):
    """The same episodes as it plays by itself with as many plans; the rest of them is practice."""
    ways = {"plans": 3, "dreams": 1, "judge": "change"}
    player = PlayerConfig(
        player=str(made.agent), most_steps=6, dtype="float32", temperature=1.0, record="better", **ways
    )
    kept = collect_on_policy(replace(FEW, episodes=2), player, tmp_path / "better")
    policy = policy_of(made, planner=BestOf(**ways))
    expected, found = [], []
    for trajectory in kept:
        for step, decision in zip(trajectory.steps, decided_alone(policy, trajectory), strict=True):
            assert (step.thought, step.action, step.plans) == (decision.thought, decision.action, ())
            scores = [plan.score for plan in decision.plans]
            came = not np.array_equal(step.frame, step.next_frame)
            expected.append(POLICY if scores[decision.chosen] > scores[0] and came else PRACTICE)
            found.append(step.actor)
    assert found == expected
    assert set(found) == {POLICY, PRACTICE}


@pytest.mark.parametrize("ways", [{}, {"plans": 3}, {"dreams": 1}])
def test_nothing_is_found_better_without_dreams_of_several_plans(ways):
    with pytest.raises(RigError, match=r'record="better" of plans=\d and dreams=\d: .* --resample'):
        PlayerConfig(player="somebody", record="better", **ways)


def test_practice_and_what_was_found_better_are_told_apart_in_one_dataset(made):
    """Whatever its share, practice is dreamed about alone, and of play by dreams nothing else is imitated."""
    step = next(iter(Dataset(made.data))).steps[0]
    steps = [replace(step, index=number, actor=actor) for number, actor in enumerate((POLICY, PRACTICE, TEACHER))]
    mixture = Mixture(data=(str(made.data),), practice=(str(made.data),), better=(str(made.data),))
    config = agent_training(made.data, made.tokenizers)
    taught, practised, better = parts_of(mixture)
    chosen = [sources_of(part, steps, config, "crafter")[0].steps for part in (taught, practised, better)]
    assert [[step.actor for step in some] for some in chosen] == [[POLICY, PRACTICE, TEACHER], [PRACTICE], [POLICY]]
    assert sources_of(better, steps[1:], config, "crafter")[0].steps == [], "nothing may have been found better"
    with pytest.raises(DatasetError, match=r"holds no practice: .* --record done"):
        sources_of(practised, steps[:1], config, "crafter")


def test_what_does_not_come_is_not_better():
    """Nor what was not judged, nor what was judged no better than the first plan."""
    seen, other = np.zeros((9, 9, 3), np.uint8), np.ones((9, 9, 3), np.uint8)
    plans = [Plan(thought=None, action=Action.press("a"), score=-20.0), Plan(thought=None, action=NOOP, score=0.0)]
    step = Step(index=0, frame=seen, next_frame=other, instruction="go", action=NOOP).with_plans(plans, 1)
    assert is_better(step)
    assert not is_better(replace(step, next_frame=seen))
    assert not is_better(replace(step, next_frame=None))
    assert not is_better(step.with_plans(plans, 0))
    assert not is_better(step.with_plans([replace(plans[0], score=0.0), plans[1]], 1))
    assert not is_better(step.with_plans([replace(plan, score=None) for plan in plans], 1))


def test_an_agent_learns_from_what_corrected_it(made, own):
    root = own.path.parent
    data = reason(own.path, ReasonConfig(), root / "s2")
    assert CORRECTION in {step.actor for step in data.steps()}
    parts = (DataPart(data=str(made.data)), DataPart(data=str(data.path)))
    short = replace(QUICK, steps=1)
    config = agent_training(made.data, made.tokenizers, parts=parts, start=str(made.agent), training=short)
    origin = read_agent(train_agent(config, root / "better"))["origin"]
    assert [part["content_hash"] for part in origin["data"]] == [Dataset(made.data).content_hash, data.content_hash]


def test_corrected_episodes_are_reasoned_about_whoever_lost_them(clumsy, thought):
    checker = CHECKERS.get("crafter")()
    assert any(not trajectory.success for trajectory in clumsy)
    assert thought.ids == clumsy.ids
    told = [step for step in thought.steps() if step.thought is not None]
    assert len(told) > 0.9 * thought.num_steps
    for step in told:
        assert all(verdict.holds for verdict in checker.check(step.thought, step.privileged, step.action))


def test_a_rehearsal_dreams_no_further_than_what_came(thought):
    bench = ReviewBuilder(RehearseConfig(states=99, slips=99, horizons=(0, 0, 1)), "crafter")
    lengths = set()
    for trajectory in thought:
        for step in rehearse_episode(bench, trajectory).steps:
            world, moments = relive(as_executed(trajectory))
            world.load(moments[step.index].state)
            assert trajectory.steps[step.index].actor == TEACHER
            assert step.actor == POLICY
            for dream in step.dreams:
                frame, _, _, _, info = world.act(dream.action)
                assert np.array_equal(dream.real_frame, frame)
                assert dream.privileged == info["privileged"]
            lengths.add(len(step.dreams))
    assert lengths == {1, 2, 3}


def test_without_next_frames_corrections_teach_what_to_think_and_do(tmp_path, clumsy):
    blind = collect_on_policy(FEW, replace(CLUMSY, next_frames=False), tmp_path / "s1")
    for step, whole in zip(blind.steps(), clumsy.steps(), strict=True):
        assert (step.next_frame is None) == (step.actor == CORRECTION)
        assert (step.action, step.actor, step.previous_action) == (whole.action, whole.actor, whole.previous_action)
    data = reason(blind.path, ReasonConfig(), tmp_path / "s2")
    corrected = [step for step in data.steps() if step.actor == CORRECTION and step.thought is not None]
    assert {flaw(step, "basic", PromptFormat(dream=False)) for step in corrected} == {None}
    assert {flaw(step, "basic", PromptFormat()) for step in corrected} == {None}
    conversation = basic_conversation(corrected[0], CrafterWorld.actions, PromptFormat())
    last, end = conversation[-2:]
    assert (last.text, last.weight, end.weight) == (NEXT_FRAME, 1, 0), "it stops where a dream would begin"
    told = parse_conversation(conversation, CrafterWorld.actions)
    assert (told.thought, told.action) == (corrected[0].thought, corrected[0].action)
    lived = replace(corrected[0], actor=TEACHER)
    assert flaw(lived, "basic", PromptFormat()) == "without a next frame"


@pytest.mark.parametrize("failures", [2, 3])
def test_an_episode_whose_engine_fails_is_played_and_corrected_again(tmp_path, monkeypatch, clumsy, failures):
    last = clumsy[1]
    left = fail_engine(monkeypatch, last, failures)
    if failures == 3:
        with pytest.raises(SimulatorError, match=f"each of 3 attempts at the episode {last.id}"):
            collect_on_policy(FEW, CLUMSY, tmp_path / "bad")
    else:
        again = collect_on_policy(FEW, CLUMSY, tmp_path / "good")
        assert again.ids == clumsy.ids
        for trajectory in again:
            check_lived(trajectory)
    assert left == [0]


@pytest.mark.parametrize(
    ("config", "player", "message"),
    [
        (replace(FEW, noise=0.1), CLUMSY, r"noise=0.1: a player makes mistakes of its own"),
        (replace(FEW, environment="minetest"), CLUMSY, r"task 'collect_wood'|Minetest"),
        (FEW, replace(CLUMSY, player="nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path, config, player, message):
    with pytest.raises(RigError, match=message):
        collect_on_policy(config, player, tmp_path / "s1")
    assert not (tmp_path / "s1").exists()


def test_the_command_plays_who_is_named_and_refuses_settings_of_nobody(tmp_path, capsys):
    words = ["--tasks", "place_table/tool", "--episodes", "1", "--out", str(tmp_path / "own")]
    assert main(["collect", "--player", "teacher:random", "--most-steps", "3", *words]) == 0
    assert "place_table  1             3" in capsys.readouterr().out
    assert main(["collect", "--mixture", "0.5", "--out", str(tmp_path / "s1")]) != 0
    assert "--mixture is of a player, and nobody plays but the teacher: add --player" in capsys.readouterr().err
    with pytest.raises(RigError, match=r"mixture=1.5: a finite number, at least 0, at most 1"):
        PlayerConfig(mixture=1.5)
