"""Evaluation: scores are what the kept episodes say, a run that was cut ends with the same ones, and the judges judge:
true thoughts and perfect dreams score 1, false thoughts and noise do not."""

import json
import shutil
from dataclasses import asdict, replace
from functools import partial
from itertools import combinations, pairwise

import numpy as np
import pytest
from choices import clearly
from PIL import Image

from rig.actions import Action
from rig.agents import Policy, PolicyConfig
from rig.agents.checkpoint import AgentCheckpoint
from rig.agents.judges import has_effect
from rig.annotators import CHECKERS, REASONERS
from rig.cli.tables import scores_text
from rig.data import Dataset
from rig.engine import ONE_BY_ONE, Engine
from rig.envs import Split, make_world, split_of
from rig.envs.rollout import Episode, Played
from rig.errors import CheckpointError, RigError
from rig.evaluate import PSNR_CEILING, bootstrap_mean, embodied, wilson
from rig.evaluate import chains as chains_module
from rig.evaluate.chains import real_chains
from rig.evaluate.config import EmbodiedConfig, ImaginationConfig, ReviewsConfig
from rig.evaluate.embodied import EPISODES, evaluate_embodied, evaluation_episodes
from rig.evaluate.imagination import (
    Dreams,
    draw_dreams,
    dream_chains,
    evaluate_imagination,
    score_chains,
    told_by_entropy,
)
from rig.evaluate.outcomes import action_agreement, outcomes_of
from rig.evaluate.reviews import RecordedLookahead, evaluate_reviews, recorded, review_all, score_reviews
from rig.evaluate.scores import summarise, summary_row
from rig.records import NOISE, POLICY, Cost, Decision
from rig.stages import RehearseConfig, rehearse

BOTH = ("collect_wood/manual", "place_table/tool")
TABLE = ("place_table/tool",)
DREAMS = ImaginationConfig(agent="", tasks=("collect_wood/manual",), chains=3)


def rows_of(folder):
    return [json.loads(line) for line in (folder / EPISODES).read_text().splitlines()]


def timeless(value):
    """Return results without what differs from run to run: seconds, and where and when."""
    if isinstance(value, dict):
        return {name: timeless(part) for name, part in value.items() if name not in ("seconds", "provenance")}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def agent_config(made, **changes):
    """Short thoughts keep an untrained agent quick."""
    settings = {"tasks": TABLE, "episodes": 2, "thought_tokens": 4, "dtype": "float32", **changes}
    return EmbodiedConfig(agent=str(made.agent), **settings)


# Embodied.


def test_scores_are_the_same_for_any_number_of_workers(made, tmp_path):
    """Where one process played an episode and two go on."""
    config = agent_config(made, episodes=3, most_steps=3, dreams=1)
    alone = evaluate_embodied(config, tmp_path / "one")
    lines = (tmp_path / "one" / "episodes.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "one" / "config.json", tmp_path / "cut")
    (tmp_path / "cut" / "episodes.jsonl").write_text("".join(lines[:1]))
    resumed = evaluate_embodied(config, tmp_path / "cut", resume=True, workers=2)
    for summary in (alone, resumed):
        summary["cost_per_decision"].pop("seconds")
        summary.pop("provenance")
    assert alone == resumed
    assert alone["episodes"] == 3
    with pytest.raises(RigError, match="workers=0"):
        evaluate_embodied(config, tmp_path / "none", workers=0)


def test_the_scores_are_what_the_kept_episodes_say(tmp_path):
    config = EmbodiedConfig(agent="teacher:random", tasks=("explore/manual", *BOTH), episodes=3)
    kept = []
    summary = evaluate_embodied(config, tmp_path / "eval", keep=kept)
    rows = rows_of(tmp_path / "eval")
    assert json.loads((tmp_path / "eval" / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert sorted(map(str, config.tasks)) == list(summary["cells"])
    for name, cell in summary["cells"].items():
        part = [row for row in rows if f"{row['task']}/{row['setting']}" == name]
        assert len(part) == 3
        assert cell["success"] == asdict(wilson(sum(row["success"] for row in part), 3))
        assert cell["samples"]["value"] == pytest.approx(np.mean([row["samples"] for row in part]))
        assert cell["steps"]["value"] == pytest.approx(np.mean([row["steps"] for row in part]))
    for row, trajectory in zip(rows, kept, strict=True):
        assert (row["task"], row["seed"]) == (trajectory.task, trajectory.seed)
        assert (row["success"], row["samples"]) == (trajectory.success, trajectory.samples)
        assert row["steps"] == len(trajectory.steps)
    by_setting = summary["by_setting"]
    assert by_setting["tool"]["value"] == summary["cells"]["place_table/tool"]["success"]["value"]
    assert (by_setting["manual"]["n"], summary["episodes"]) == (6, 9)
    assert summary["cost_per_decision"]["decisions"] == sum(row["steps"] for row in rows)
    still = [[not has_effect(step.frame, step.next_frame) for step in trajectory.steps] for trajectory in kept]
    assert [row["in_vain"] for row in rows] == list(map(sum, still))
    share = np.mean(list(map(np.mean, still)))
    assert 0 < share < 1
    assert summary["in_vain"]["value"] == pytest.approx(share)
    earlier = [{name: value for name, value in row.items() if name != "in_vain"} for row in rows]
    assert summarise(earlier, config)["in_vain"] is None, "of episodes that were noted before, it is not known"


def test_the_teacher_succeeds_where_random_keys_fail(tmp_path):
    def success(agent):
        return evaluate_embodied(EmbodiedConfig(agent=agent, tasks=BOTH, episodes=3), tmp_path / agent)["success"]

    teacher, random = success("teacher:crafter"), success("teacher:random")
    assert (teacher["value"], teacher["high"]) == (1, 1)
    assert random["value"] < teacher["low"]


@pytest.mark.parametrize("split", ["evaluation", "validation"])
def test_seeds_are_of_their_split_and_none_is_of_training(made, split):
    world = make_world("crafter")
    found = evaluation_episodes(world, EmbodiedConfig(agent="", episodes=3, tasks=BOTH, split=split))
    assert {split_of(episode.seed) for episode in found} == {Split[split.upper()]}
    assert len(set(found)) == 6
    trained = set(Dataset(made.data).table(["seed"]).column("seed").to_pylist())
    assert {split_of(seed) for seed in trained} == {Split.TRAIN}
    assert trained.isdisjoint({episode.seed for episode in found})
    later = evaluation_episodes(world, EmbodiedConfig(agent="", episodes=2, skip=1, tasks=BOTH, split=split))
    assert set(later) < set(found), "rows that skip nothing play the same episodes"


def test_the_same_episodes_give_the_same_scores_however_many_are_played_at_once(made, tmp_path):
    def scored(skip):
        return evaluate_embodied(agent_config(made, skip=skip, temperature=0.0), tmp_path / f"together-{skip}")

    skip, together = clearly(scored)
    alone = evaluate_embodied(agent_config(made, batch_size=1, skip=skip, temperature=0.0), tmp_path / "alone")
    assert timeless(alone) | {"config": None} == timeless(together) | {"config": None}


def cut(monkeypatch, after):
    """Let evaluations end, as by Ctrl-C, when `after` episodes are over; return which are begun."""
    play, begun = embodied.play, []

    def interrupted(make, actor, episodes, **rest):
        begun.extend(episode.id for episode in episodes)
        for number, played in enumerate(play(make, actor, episodes, **rest)):
            if number == after:
                raise KeyboardInterrupt
            yield played

    monkeypatch.setattr(embodied, "play", interrupted)
    return begun


@pytest.mark.parametrize("who", ["agent", "teacher:crafter", "teacher:random"])
def test_a_run_that_was_cut_goes_on_and_ends_with_the_same_summary(made, tmp_path, monkeypatch, who):
    config = replace(agent_config(made, batch_size=2, temperature=0.0), episodes=4)
    if who != "agent":
        config = replace(config, agent=who, tasks=("collect_wood/manual", *TABLE), episodes=3)
    skip, whole = clearly(lambda skip: evaluate_embodied(replace(config, skip=skip), tmp_path / f"whole-{skip}"))
    config = replace(config, skip=skip)
    cut(monkeypatch, after=2)
    with pytest.raises(KeyboardInterrupt):
        evaluate_embodied(config, tmp_path / "cut")
    monkeypatch.undo()
    before = rows_of(tmp_path / "cut")
    assert len(before) == 2
    with (tmp_path / "cut" / EPISODES).open("a") as file:
        file.write('{"task": "place_ta')  # what a kill leaves of a line
    begun = cut(monkeypatch, after=100)
    again = evaluate_embodied(config, tmp_path / "cut", resume=True)
    assert rows_of(tmp_path / "cut")[:2] == before
    finished = {Episode(task=row["task"], setting=row["setting"], seed=row["seed"]).id for row in before}
    wanted = {episode.id for episode in evaluation_episodes(make_world("crafter"), config)}
    assert sorted(begun) == sorted(wanted - finished), "finished episodes are not played again"
    assert timeless(again) == timeless(whole)


def test_what_is_done_is_not_played_again(tmp_path, monkeypatch):
    config = EmbodiedConfig(agent="teacher:crafter", tasks=TABLE, episodes=2)
    first = evaluate_embodied(config, tmp_path / "eval")
    begun = cut(monkeypatch, after=0)
    assert timeless(evaluate_embodied(config, tmp_path / "eval", resume=True)) == timeless(first)
    assert begun == []


def test_an_evaluation_goes_on_for_more_episodes(tmp_path, monkeypatch):
    config = EmbodiedConfig(agent="teacher:crafter", tasks=TABLE, episodes=1)
    more = replace(config, episodes=3)
    evaluate_embodied(config, tmp_path / "eval")
    begun = cut(monkeypatch, after=100)
    grown = evaluate_embodied(more, tmp_path / "eval", resume=True)
    assert (len(begun), grown["episodes"], grown["config"]["episodes"]) == (2, 3, 3)
    assert timeless(grown) == timeless(evaluate_embodied(more, tmp_path / "whole"))


def test_an_evaluation_at_work_keeps_its_folder_for_itself(tmp_path, monkeypatch):
    config, play = EmbodiedConfig(agent="teacher:crafter", tasks=TABLE, episodes=2), embodied.play

    def disturbed(*arguments, **rest):
        with pytest.raises(RigError, match=r"eval is being written by another process"):
            evaluate_embodied(config, tmp_path / "eval", resume=True)
        return play(*arguments, **rest)

    monkeypatch.setattr(embodied, "play", disturbed)
    evaluate_embodied(config, tmp_path / "eval")
    assert len(rows_of(tmp_path / "eval")) == 2


def test_results_of_another_configuration_are_not_touched(tmp_path):
    config = EmbodiedConfig(agent="teacher:crafter", tasks=TABLE, episodes=2)
    evaluate_embodied(config, tmp_path / "eval")
    before = {path: path.read_bytes() for path in (tmp_path / "eval").iterdir()}
    for changes in ({"episodes": 1}, {"agent": "teacher:random"}, {"tasks": ()}, {"skip": 1}, {"split": "validation"}):
        with pytest.raises(RigError, match=rf"another configuration: {next(iter(changes))}"):
            evaluate_embodied(replace(config, **changes), tmp_path / "eval", resume=True)
    with pytest.raises(RigError, match="--resume"):
        evaluate_embodied(config, tmp_path / "eval")
    assert {path: path.read_bytes() for path in (tmp_path / "eval").iterdir()} == before


def test_true_dreams_stand_in_for_an_agents_own(made, tmp_path):
    kept = []
    config = agent_config(made, dreams=1, true_dreams=True)
    summary = evaluate_embodied(config, tmp_path / "true", keep=kept)
    assert summary["config"]["true_dreams"]
    steps = [step for trajectory in kept for step in trajectory.steps if step.action == step.dreams[0].action]
    assert steps
    assert all(np.array_equal(step.dreams[0].frame, step.next_frame) for step in steps)
    with pytest.raises(RigError, match="--dreams of 1 or more"):
        evaluate_embodied(replace(config, dreams=0), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_mistake_leaves_no_folder_behind(made, tmp_path):
    wrong = [
        EmbodiedConfig(agent="nowhere"),
        EmbodiedConfig(agent="teacher:nobody"),
        EmbodiedConfig(agent="teacher:crafter", tasks=("collect_wool",)),
        EmbodiedConfig(agent="teacher:crafter", environment="craft"),
        EmbodiedConfig(agent="teacher:crafter", episodes=0),
        agent_config(made, thought_tokens=0),
    ]
    for config in wrong:
        with pytest.raises(RigError):
            evaluate_embodied(config, tmp_path / "eval")
    assert not (tmp_path / "eval").exists()


@pytest.mark.parametrize("dreams", [0, 2])
def test_costs_are_what_the_tokens_are(made, tmp_path, dreams):
    config = agent_config(made, dreams=dreams, episodes=1)
    summary = evaluate_embodied(config, tmp_path / "eval")
    (row,) = rows_of(tmp_path / "eval")
    layout = AgentCheckpoint.load(made.agent).encoder.layout
    cost, decisions = summary["cost_per_decision"], row["steps"]
    assert cost == {name: value / decisions for name, value in row["cost"].items()} | {"decisions": decisions}
    assert cost["image_tokens"] == dreams * layout.write_tokens
    answers = dreams + 1
    assert answers * 2 <= cost["text_tokens"] <= answers * (config.thought_tokens + 64 + 16)
    assert cost["read_tokens"] > answers * layout.read_tokens
    assert 0 < cost["seconds"] < 60
    if dreams:
        assert summary["reviews"]["reviews"] == decisions
        assert 0 <= summary["reviews"]["changed"] <= 1
        assert "reviews that changed the action" in scores_text(summary)
    else:
        assert summary["reviews"] == {}


# Thoughts.


@pytest.fixture(scope="module")
def taught(made):
    """Episodes of the teacher, noise included, as they were before anyone wrote a thought."""
    return list(Dataset(made.root / "s1"))


def thinking(trajectories, thoughts_of):
    """Return the rows of episodes that think what `thoughts_of` gives their steps."""
    rows = []
    for trajectory in trajectories:
        thoughts = thoughts_of(trajectory.steps)
        steps = tuple(replace(step, thought=said) for step, said in zip(trajectory.steps, thoughts, strict=True))
        episode = Episode(task=trajectory.task, setting=trajectory.setting, seed=trajectory.seed)
        played = Played(episode=episode, trajectory=trajectory.with_steps(steps), cost=Cost(text_tokens=9))
        rows.append(summary_row(played, CHECKERS.get("crafter")()))
    return rows


def reasoning(trajectories, thoughts_of):
    return summarise(thinking(trajectories, thoughts_of), EmbodiedConfig(agent=""))


def late(steps):
    """Think at each step what was true at the one before."""
    thoughts = REASONERS.get("crafter")().reason(steps)
    return [thoughts[0], *thoughts[:-1]]


def test_the_reasoners_own_thoughts_are_all_true(taught):
    assert any(step.actor == NOISE for trajectory in taught for step in trajectory.steps)
    summary = reasoning(taught, REASONERS.get("crafter")().reason)
    found = summary["thoughts"]
    assert found["true"] == {"value": 1, "low": 1, "high": 1, "n": len(taught)}
    assert (found["followed"], found["readable"]) == (1, 1)
    steps = sum(len(trajectory.steps) for trajectory in taught)
    assert found["conclusions"] == steps < found["checked"]
    assert found["clauses"] == found["checked"] + found["conclusions"]
    assert "claims that hold 1.00 [1.00, 1.00]; conclusions followed 1.00" in scores_text(summary)


def test_false_thoughts_are_found_out(taught):
    found = reasoning(taught, late)["thoughts"]
    assert 0 < found["true"]["low"] < found["true"]["value"] < found["true"]["high"] < 1
    assert found["followed"] < 1 == found["readable"]
    lies = "1. I look up at diamond. 2. I hold 9 of 9 iron. 3. So attack diamond."
    found = reasoning(taught, lambda steps: [lies] * len(steps))["thoughts"]
    assert (found["true"]["value"], found["followed"], found["readable"]) == (0, 0, 1)


def test_the_share_of_true_claims_is_the_mean_over_episodes(taught):
    episodes = taught[:2]
    true, false = "1. Iron 0 of 9. 2. So wait.", "1. Iron 9 of 9. 2. So wait."

    def half(steps):
        return [true] * len(steps) if steps is episodes[0].steps else [true, *[false] * (len(steps) - 1)]

    found = reasoning(episodes, half)["thoughts"]
    assert found["true"] == asdict(bootstrap_mean([1, 1 / len(episodes[1].steps)]))


def test_a_summary_does_not_depend_on_which_episode_ended_first(taught):
    rows = thinking(taught, late)
    first, second = (summarise(part, EmbodiedConfig(agent="")) for part in (rows, rows[::-1]))
    assert timeless(first) == timeless(second)


def test_thoughts_that_cannot_be_read_are_counted_as_such(taught):
    found = reasoning(taught, lambda steps: ["1. The moon is full. 2. So be it."] * len(steps))
    assert (found["thoughts"]["readable"], found["thoughts"]["true"]) == (0, None)
    assert "claims" not in scores_text(found)
    assert reasoning(taught, lambda steps: [None] * len(steps))["thoughts"] == {}


# Dreams.


@pytest.fixture(scope="module")
def checkpoint(made):
    return AgentCheckpoint.load(made.agent)


@pytest.fixture(scope="module")
def chains(checkpoint):
    return list(real_chains(checkpoint, DREAMS))


def perfect(chains):
    return as_dreams(truth_of(chains))


def as_dreams(frames):
    return Dreams(frames=frames, entropy=np.zeros(frames.shape[:2]), passes=np.ones(frames.shape[:2], np.int64))


def truth_of(chains):
    return np.stack([np.stack([step.frame for step in chain.steps[1:]]) for chain in chains])


def test_chains_are_consecutive_steps_with_true_thoughts(checkpoint, chains):
    checker = CHECKERS.get("crafter")()
    assert [len(chain.steps) for chain in chains] == [DREAMS.depth + 1] * 3
    for chain in chains:
        assert [step.index - len(chain.before) for step in chain.steps] == list(range(6))
        for step, following in pairwise(chain.steps):
            assert np.array_equal(step.next_frame, following.frame)
            assert all(claim.holds for claim in checker.check(step.thought, step.privileged, step.action))
    again = list(real_chains(checkpoint, DREAMS))
    assert np.array_equal(truth_of(again), truth_of(chains))


def test_perfect_dreams_score_one_at_every_horizon(checkpoint, chains):
    scores = score_chains(checkpoint, chains, perfect(chains), DREAMS)
    assert [entry["steps"] for entry in scores["dream"]] == [1, 2, 3, 4, 5]
    for entry in scores["dream"]:
        assert entry["cells_right"] == {"value": 1, "low": 1, "high": 1, "n": 3}
        assert entry["changed_cells_right"]["value"] == 1
        assert (entry["identical"], entry["psnr"]["value"]) == (3, PSNR_CEILING)
        assert entry["frechet"]["value"] == pytest.approx(0, abs=1e-6)


def test_noise_scores_low_and_a_copy_gets_no_changed_cell_right(checkpoint, chains):
    truth = truth_of(chains)
    noise = np.random.default_rng(0).integers(0, 256, truth.shape, np.uint8)
    scores = score_chains(checkpoint, chains, as_dreams(noise), DREAMS)
    for dream, copy in zip(scores["dream"], scores["copy"], strict=True):
        assert dream["cells_right"]["value"] < 0.2 < copy["cells_right"]["value"] < 1
        assert dream["psnr"]["value"] < 10 < copy["psnr"]["value"]
        assert dream["frechet"]["value"] > copy["frechet"]["value"]
        assert copy["changed_cells_right"]["value"] == 0


def test_a_dream_of_change_where_nothing_changes_is_no_right_still(checkpoint, chains):
    still = [replace(chain, steps=[chain.steps[0]] * len(chain.steps)) for chain in chains]
    assert score_chains(checkpoint, still, perfect(still), DREAMS)["dream"][0]["stills_right"]["value"] == 1
    moved = truth_of(still)
    moved[0, 0, :16, :16] = moved[0, 0, 48:64, 64:80]
    scores = score_chains(
        checkpoint, [*still[:2], chains[2]], as_dreams(np.concatenate([moved[:2], truth_of(chains[2:])])), DREAMS
    )
    assert scores["dream"][0]["stills_right"] == scores["dream"][0]["stills_right"] | {"value": 0.5, "n": 2}
    assert scores["copy"][0]["stills_right"]["value"] == 1


def test_an_agents_own_actions_are_dreamed_about(made, checkpoint, monkeypatch):
    monkeypatch.setattr(chains_module, "PolicyConfig", partial(PolicyConfig, thought_tokens=4))
    config = replace(DREAMS, agent=str(made.agent), actions="agent", chains=2, depth=2, most_steps=4)
    configs = [replace(config, tasks=(f"{task.name}/manual",)) for task in make_world(checkpoint.environment).tasks]
    number, own = clearly(lambda number: list(real_chains(checkpoint, configs[number])), range(len(configs)))
    config = configs[number]
    assert len(own) == 2
    for chain in own:
        assert [step.index for step in chain.steps] == list(range(len(chain.before), len(chain.before) + 3))
        assert {step.actor for step in chain.steps} == {POLICY}
        assert all(step.thought is not None for step in chain.steps)
    alone = next(real_chains(checkpoint, replace(config, batch_size=1)))
    assert [step.action for step in alone.steps] == [step.action for step in own[0].steps]


def test_a_dream_agrees_with_its_action_or_with_another(checkpoint, chains):
    world = make_world(checkpoint.environment)
    outcomes = outcomes_of(world, chains)
    assert [len(some) for some in outcomes] == [DREAMS.depth] * 3
    truth = truth_of(chains)
    for chain, some in enumerate(outcomes):
        for depth, frames in enumerate(some):
            assert np.array_equal(frames[0], truth[chain, depth]), "the first is what came"
            assert len({frame.tobytes() for frame in frames}) == len(frames)
    depth = next(depth for depth in range(DREAMS.depth) if all(len(some[depth]) > 1 for some in outcomes))
    possible = [some[depth] for some in outcomes]
    own = action_agreement(truth[:, depth], possible)
    assert own["action_agreement"]["value"] == 1
    assert own["action_agreement_by_chance"] == pytest.approx(np.mean([1 / len(some) for some in possible]))
    other = action_agreement(np.stack([some[-1] for some in possible]), possible)
    assert other["action_agreement"]["value"] == 0
    nothing = action_agreement(truth[:, depth], [some[:1] for some in possible])
    assert nothing == {"action_agreement": None, "action_agreement_by_chance": None}


def test_entropy_tells_wrong_dreams_where_it_is_higher():
    entropy, right = np.array([0.1, 0.2, 0.3, 0.4]), np.array([True, False, True, False])
    told = told_by_entropy(entropy, right)
    assert told == {"entropy_right": pytest.approx(0.2), "entropy_wrong": pytest.approx(0.3), "entropy_tells": 0.75}
    assert told_by_entropy(np.ones(4), right)["entropy_tells"] == 0.5
    assert told_by_entropy(entropy, np.ones(4, bool))["entropy_tells"] is None


def test_an_episode_that_does_not_replay_is_named(checkpoint, chains):
    moved = replace(chains[0], before=(*chains[0].before, Action.press("move_left"), Action.press("move_left")))
    with pytest.raises(RigError, match=f"{chains[0].episode.id} does not replay: step {chains[0].steps[0].index}"):
        outcomes_of(make_world(checkpoint.environment), [moved])


def test_one_wrong_cell_costs_its_share(checkpoint, chains):
    dreams = truth_of(chains)
    dreams[0, 0, :16, :16] = dreams[0, 0, 48:64, 64:80]  # the player's picture in the corner
    scores = score_chains(checkpoint, chains, as_dreams(dreams), DREAMS)["dream"]
    assert scores[0]["cells_right"]["value"] == pytest.approx(1 - 1 / 81 / 3)
    assert scores[1]["cells_right"]["value"] == 1


def test_the_picture_shows_the_first_chain_of_each_task_above_its_dreams(checkpoint, chains, tmp_path):
    dreams = np.zeros_like(truth_of(chains))
    path = draw_dreams(tmp_path / "dreams.png", chains, as_dreams(dreams), checkpoint.space)
    shown = np.asarray(Image.open(path)).astype(int)
    frame = chains[0].steps[1].frame
    height, width = frame.shape[0], frame.shape[1]
    tasks = len({chain.episode.task for chain in chains})
    assert shown.shape[0] >= 2 * tasks * height
    assert shown.shape[1] >= (chains[0].depth + 1) * width
    placed = np.lib.stride_tricks.sliding_window_view(shown[: shown.shape[0] // (2 * tasks), :, 0], (1, width))
    assert (placed[:, :, 0] == frame[height // 2, :, 0]).all(axis=-1).any(), "the frame that came is there"
    below = shown[-height // 2, -width // 2]
    assert (below == 0).all(), "and the last dream"


def test_an_agents_dreams_are_scored_and_kept(made, tmp_path):
    config = replace(DREAMS, agent=str(made.agent), chains=2, depth=2)
    scores = evaluate_imagination(config, tmp_path / "dreams")
    assert json.loads((tmp_path / "dreams" / "imagination.json").read_text()) == json.loads(json.dumps(scores))
    assert (tmp_path / "dreams" / "dreams.jpg").is_file()
    assert [entry["steps"] for entry in scores["dream"]] == [1, 2]
    for kind in ("dream", "tokenizer", "copy"):
        assert all(0 <= entry["cells_right"]["value"] <= 1 for entry in scores[kind])
        assert all("action_agreement" in entry for entry in scores[kind])
    assert 0 <= scores["noise_actions"] < 0.5
    assert 1 <= scores["passes"] <= 81
    with pytest.raises(RigError, match="already exists"):
        evaluate_imagination(config, tmp_path / "dreams")


def test_the_first_dream_is_the_same_alone_and_in_a_lookahead(checkpoint, chains):
    starts = [(pair, first) for first in range(DREAMS.depth - 1) for pair in combinations(chains, 2)]

    def dreamed(number, *, steps, **changes):
        pair, first = starts[number]
        short = [replace(chain, steps=chain.steps[first : first + steps + 1]) for chain in pair]
        return dream_chains(checkpoint, short, replace(DREAMS, depth=steps, **changes)).frames

    number, fresh = clearly(lambda number: dreamed(number, steps=1), range(len(starts)))
    whole = dreamed(number, steps=2, context="lookahead")
    assert whole.shape == (2, 2, 144, 144, 3)
    assert np.array_equal(fresh[:, 0], whole[:, 0])
    assert np.array_equal(fresh, dreamed(number, steps=1, batch_size=1))


def test_a_dream_written_code_by_code_needs_no_draft_and_is_the_same(checkpoint, chains, monkeypatch):
    pairs = [[replace(chain, steps=chain.steps[:2]) for chain in pair] for pair in combinations(chains, 2)]
    guessed, *others = (dream_chains(checkpoint, pair, replace(DREAMS, depth=1)) for pair in pairs)
    monkeypatch.setattr(Engine, "speculation_for", lambda self, rows, **_: ONE_BY_ONE)
    monkeypatch.delattr(Engine, "encode_images")
    plain = dream_chains(checkpoint, pairs[0], replace(DREAMS, depth=1))
    assert np.array_equal(plain.frames, guessed.frames)
    assert (plain.passes == checkpoint.model.config.vq.num_tokens).all()
    # An untrained network's codes are hardly ever guessed, and how rarely differs from processor to processor.
    assert all((one.passes <= plain.passes).all() for one in (guessed, *others))
    assert min(one.passes.sum() for one in (guessed, *others)) < plain.passes.sum()


@pytest.mark.parametrize("context", ["fresh", "lookahead"])
def test_a_dream_sees_nothing_of_what_really_came(checkpoint, chains, context):
    config = replace(DREAMS, depth=2, context=context)
    chain = replace(chains[0], steps=chains[0].steps[:3])
    hidden = [replace(step, frame=np.zeros_like(step.frame)) for step in chain.steps[1:]]
    blind = replace(chain, steps=[chain.steps[0], *hidden])
    seen, unseen = (dream_chains(checkpoint, [one], config) for one in (chain, blind))
    assert np.array_equal(seen.frames, unseen.frames)


def test_dreams_that_cannot_be_scored_are_named(made, checkpoint, tmp_path):
    with pytest.raises(RigError, match="choose longer tasks or fewer chains"):
        list(real_chains(checkpoint, replace(DREAMS, tasks=TABLE, chains=2, depth=49)))
    with pytest.raises(CheckpointError, match="nowhere"):
        evaluate_imagination(replace(DREAMS, agent="nowhere"), tmp_path / "dreams")
    shutil.copytree(made.agent, tmp_path / "agent")
    about = json.loads((tmp_path / "agent" / "agent.json").read_text())
    about["form"]["dream"] = False
    (tmp_path / "agent" / "agent.json").write_text(json.dumps(about))
    with pytest.raises(RigError, match="without dreams"):
        evaluate_imagination(replace(DREAMS, agent=str(tmp_path / "agent")), tmp_path / "dreams")
    assert not (tmp_path / "dreams").exists()


# Reviews.


@pytest.fixture(scope="module")
def rehearsed(made, tmp_path_factory):
    """Good plans and bad ones: what the teacher did, and its noise."""
    config = RehearseConfig(states=4, slips=4, horizons=(0, 1))
    return rehearse(made.root / "s2", config, tmp_path_factory.mktemp("reviews") / "s4")


def reviews_config(made, rehearsed, **changes):
    settings = {"data": (str(rehearsed.path),), "thought_tokens": 4, "dtype": "float32", **changes}
    return ReviewsConfig(agent=str(made.agent), **settings)


def test_reviews_are_counted_by_what_the_plans_deserve(made, checkpoint, rehearsed):
    lookaheads, _ = recorded(checkpoint, reviews_config(made, rehearsed))
    assert {one.is_bad for one in lookaheads} == {True, False}
    assert all(len(one.step.dreams) == 1 for one in lookaheads)
    assert [one.is_bad for one in lookaheads] == [one.step.review.helped for one in lookaheads]

    def decided(choose):
        return [Decision(action=choose(one), thought=one.step.thought) for one in lookaheads]

    decisions = {
        "right": decided(lambda one: one.step.action),
        "stubborn": decided(lambda one: one.step.proposal),
        "fickle": decided(lambda one: Action.press("sleep")),
    }
    scores = score_reviews(lookaheads, decisions, CHECKERS.get("crafter")())
    assert scores["lookaheads"] == len(lookaheads)
    assert scores["bad"] == sum(one.is_bad for one in lookaheads)
    found = {
        kind: tuple(part[name]["value"] for name in ("changed_good", "changed_bad", "mended", "same"))
        for kind, part in scores["shown"].items()
    }
    good = 1 - scores["bad"] / len(lookaheads)
    assert found["right"] == (0, 1, 1, 1)
    assert found["stubborn"] == (0, 0, 0, pytest.approx(good))
    assert found["fickle"] == (1, 1, 0, 0)
    assert scores["shown"]["right"]["true"]["value"] == 1
    assert scores["shown"]["right"]["consistent"]["value"] == 1
    assert scores["shown"]["stubborn"]["consistent"]["value"] == pytest.approx(good)
    kept = [one for one in lookaheads if not one.is_bad]
    assert score_reviews(kept, {"right": decisions["right"][: len(kept)]}, None)["shown"]["right"]["mended"] is None


def test_what_is_shown_stands_in_the_place_of_the_dream(made, rehearsed, tmp_path, monkeypatch):
    seen, review = [], Policy.review

    def spy(policy, steps, seeds):
        seen.append((list(steps), list(seeds)))
        return review(policy, steps, seeds)

    monkeypatch.setattr(Policy, "review", spy)
    config = reviews_config(made, rehearsed, shown=("still", "real"), depth=2, batch_size=1000)
    scores = evaluate_reviews(config, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "reviews.json").read_text()) == json.loads(json.dumps(scores))
    assert list(scores["shown"]) == ["still", "real"]
    (still, seeds), (real, again) = seen
    assert seeds == again == list(range(scores["lookaheads"]))
    for number, original in enumerate(rehearsed.steps()):
        for dream, other, old in zip(still[number].dreams, real[number].dreams, original.dreams, strict=True):
            assert (dream.thought, dream.action) == (other.thought, other.action) == (old.thought, old.action)
            assert np.array_equal(dream.frame, original.frame)
            assert np.array_equal(other.frame, old.real_frame)
            assert dream.real_frame is other.real_frame is None
    with pytest.raises(RigError, match="already exists"):
        evaluate_reviews(config, tmp_path / "out")


def test_a_control_is_shown_nothing(made, rehearsed, tmp_path):
    shutil.copytree(made.agent, tmp_path / "agent")
    about = json.loads((tmp_path / "agent" / "agent.json").read_text())
    about["form"]["dream"] = False
    (tmp_path / "agent" / "agent.json").write_text(json.dumps(about))
    config = replace(reviews_config(made, rehearsed), agent=str(tmp_path / "agent"))
    assert list(evaluate_reviews(config, tmp_path / "out")["shown"]) == ["nothing"]


def test_reviews_that_cannot_be_scored_are_named(made, checkpoint, rehearsed, tmp_path):
    with pytest.raises(RigError, match="no lookaheads of these tasks there; give datasets of `rig review`"):
        evaluate_reviews(reviews_config(made, rehearsed, data=(str(made.root / "s2"),)), tmp_path / "out")
    with pytest.raises(RigError, match="no lookaheads of these tasks"):
        recorded(checkpoint, reviews_config(made, rehearsed, tasks=("explore",)))
    with pytest.raises(RigError, match="plays Elsewhere"):
        recorded(replace(checkpoint, environment="Elsewhere"), reviews_config(made, rehearsed))
    with pytest.raises(RigError, match="at least one of each"):
        reviews_config(made, rehearsed, shown=())
    blind = next(iter(rehearsed))
    step = replace(blind.steps[0], dreams=tuple(replace(dream, real_frame=None) for dream in blind.steps[0].dreams))
    given = [RecordedLookahead(step=step, trajectory=blind.with_steps(()))]
    with pytest.raises(RigError, match=r"has no real frame; leave 'real' out of --shown"):
        review_all(checkpoint, given, "real", reviews_config(made, rehearsed))
    assert not (tmp_path / "out").exists()


def test_a_teacher_plays_in_the_world_of_its_name():
    places = {name: embodied.environment_of(EmbodiedConfig(agent=f"teacher:{name}")) for name in ("minetest", "random")}
    assert places == {"minetest": "minetest", "random": "crafter"}
    assert embodied.environment_of(EmbodiedConfig(agent="teacher:random", environment="minetest")) == "minetest"


def test_an_evaluation_draws_as_a_policy_does():
    assert EmbodiedConfig(agent="a").temperature == PolicyConfig().text.temperature > 0
    assert PolicyConfig().image.temperature == 0
