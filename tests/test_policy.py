"""The policy: legal actions only, a golden lookahead, decisions that do not depend on who shares their batch."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from choices import clearly

from rig.actions import CRAFTER, NOOP, Action
from rig.agents import Basic, Lookahead, PolicyActor, PolicyConfig, TeacherActor, TrueFuture, build_policy, short_name
from rig.agents.checkpoint import AgentCheckpoint
from rig.dialogue import Kind, PromptFormat, Role, SegmentEncoder, lookahead_conversation, train_bpe
from rig.engine import ONE_BY_ONE, Sampler, Speculation
from rig.engine.rows import Rows
from rig.engine.writing import ImageWriting
from rig.envs import Split, make_world
from rig.envs.forks import SimulatorDynamics
from rig.envs.rollout import Episode, play
from rig.errors import RigError, UnknownNameError
from rig.model import best_device
from rig.model.precision import Gains
from rig.records import Cost, Decision, Dream, Lineage, Observation, Plan, Review, fake_frame
from rig.teachers import TEACHERS

WARM = Sampler(temperature=1.0)


@pytest.fixture(scope="module")
def checkpoint(made):
    return AgentCheckpoint.load(made.agent)


def observations(count, seed=0):
    random = np.random.default_rng(seed)
    return [
        Observation(frame=fake_frame(random, 144), instruction="collect wood", previous_action=NOOP)
        for _ in range(count)
    ]


def policy_of(checkpoint, **changes):
    ahead = {name: changes.pop(name) for name in ("dreams", "stop_entropy") if changes.get(name)}
    planner = Lookahead(**ahead) if ahead else Basic()
    changes.pop("dreams", None)
    settings = {
        "prompt_format": checkpoint.prompt_format,
        "planner": planner,
        "thought_tokens": 8,
        "text": WARM,
        "image": WARM,
        **changes,
    }
    return build_policy(checkpoint, PolicyConfig(**settings), dreams_ahead=2)


@pytest.mark.parametrize("dreams", [0, 2])
@pytest.mark.parametrize("read_back", ["pixels", "codes"])
def test_a_decision_holds_what_was_thought_dreamed_and_reviewed(checkpoint, dreams, read_back):
    policy = policy_of(checkpoint, prompt_format=replace(checkpoint.prompt_format, read_back=read_back), dreams=dreams)
    for decision in policy.decide(observations(3), [1, 2, 3]):
        CRAFTER.check(decision.action)
        assert decision.thought is not None
        assert len(decision.dreams) == dreams
        for dream in decision.dreams:
            CRAFTER.check(dream.action)
            assert dream.frame.shape == (144, 144, 3)
            assert dream.codes.shape == (81,)
        assert (decision.review is not None) == (dreams > 0)
        if decision.review:
            assert decision.review.action == decision.action
            assert decision.review.helped == (decision.action != decision.dreams[0].action)
        assert decision.cost.image_tokens == 81 * dreams
        assert decision.cost.text_tokens > 0


def test_a_decision_follows_from_its_observation_and_seed_alone(checkpoint):
    policy = policy_of(checkpoint, dreams=1)
    seen = observations(4)
    seed, together = clearly(lambda seed: policy.decide(seen, range(seed, seed + 4)))
    alone = policy.decide(seen[2:3], [seed + 2])[0]
    assert (alone.thought, alone.action) == (together[2].thought, together[2].action)
    assert np.array_equal(alone.dreams[0].codes, together[2].dreams[0].codes)


@pytest.mark.parametrize(
    ("dtype", "found"),
    [
        ("auto", "bfloat16" if torch.cuda.is_available() else "float32"),
        ("float32", "float32"),
        ("bfloat16", "bfloat16"),
    ],
)
def test_an_agent_on_a_cpu_decides_in_float32_or_in_what_is_asked_for(made, monkeypatch, dtype, found):
    fast = Gains(training=9.0, prefill=9.0, token=9.0)
    monkeypatch.setattr("rig.model.runtime.gains", lambda: fast)  # whatever is faster here
    ready = AgentCheckpoint.load(made.agent).for_running(dtype)
    assert ready.model.runs_in == {"device": best_device().type, "dtype": found}
    assert next(ready.model.model.vqmodel.parameters()).dtype == torch.float32
    (decision,) = policy_of(ready, dreams=1).decide(observations(1), [3])
    assert decision.dreams[0].frame is not None


def test_an_unknown_dtype_is_named(checkpoint):
    with pytest.raises(UnknownNameError, match=r"unknown dtype 'float16'.* Known: auto, bfloat16, float32"):
        checkpoint.for_running("float16")


class Dictated:
    """A constraint that allows one text: an untrained model's own spelling is not the tokenizer's."""

    start = 0

    def __init__(self, tokenizer, ids, ending):
        self.size = len(tokenizer)
        self.stop_ids = self.terminator_ids = ending
        self.ids = [*ids, *ending]
        self.limit = len(self.ids)

    def allowed(self, state):
        mask = torch.zeros(self.size, dtype=torch.bool)
        mask[self.ids[state]] = True
        return mask

    def advance(self, state, token):
        return state + 1

    def is_done(self, state):
        return state == self.limit


class Told:
    """Foresight that shows the same frame whatever is done."""

    def __init__(self, frame):
        self.frame = frame

    def follow(self, action):
        return self.frame

    def fork(self):
        return self


@pytest.mark.parametrize(("told", "says"), [(False, None), (True, None), (False, "keep")])
def test_the_context_of_a_lookahead_is_the_conversation_of_training(checkpoint, monkeypatch, told, says):
    """Token for token and position for position, what the policy put into the cache is what training would show."""
    seen = observations(1)
    policy = policy_of(checkpoint, dreams=2, thought_tokens=64)
    tokenizer, thought = checkpoint.encoder.tokenizer, "1. We see a tree to the west."
    speaker = policy._speaker
    policy._speaker = replace(
        speaker,
        thought=Dictated(tokenizer, tokenizer.encode(thought), speaker.thought.stop_ids),
        action=Dictated(tokenizer, tokenizer.encode("use", literal=True), speaker.action.terminator_ids),
        verdict_of=lambda thought: says,
    )
    held = {}
    put, push = Rows.put, Rows.push

    def spy_put(rows, row, column, x, positions):
        held.update(enumerate(map(int, positions), column))
        put(rows, row, column, x, positions)

    def spy_push(rows, where, x):
        push(rows, where, x)
        held[int(rows.lengths[where[0]]) - 1] = rows.next_position(where[0]) - 1

    monkeypatch.setattr(Rows, "put", spy_put)
    monkeypatch.setattr(Rows, "push", spy_push)
    shown = fake_frame(np.random.default_rng(7), 144)
    decision = policy.decide(seen, [0], [TrueFuture(Told(shown))] if told else None)[0]
    assert all((dream.thought, dream.action) == (thought, Action(keys=frozenset({"use"}))) for dream in decision.dreams)
    if told:
        codes = policy.engine.encode_images(shown[None])[0]
        assert all(np.array_equal(dream.frame, shown) for dream in decision.dreams)
        assert all(np.array_equal(dream.codes, codes) for dream in decision.dreams)
    step = _as_step(seen[0], decision)
    tokens = checkpoint.encoder.encode(lookahead_conversation(step, CRAFTER, checkpoint.prompt_format))
    assert [held[column] for column in range(len(held))] == tokens.positions[: len(held)].tolist()
    assert len(held) > len(tokens) - 100, "all but what only training adds behind the review"
    lived = dict(held)
    held.clear()
    (again,) = policy.review([step], [0])
    assert held == lived, "a review of the same lookahead reads the same"
    assert (again.thought, again.action, again.review) == (decision.thought, decision.action, decision.review)
    if says is None:
        assert again.cost.text_tokens * 3 == decision.cost.text_tokens
    else:
        codes = np.flatnonzero(tokens.kinds == Kind.CODE)
        assert len(held) > codes[-81] - 5, "the action that is kept stands behind the review, as if it were written"
        assert again.cost.text_tokens * 3 < decision.cost.text_tokens, "yet it was not written"
    assert int((tokens.kinds == Kind.CODE).sum()) == 3 * 81
    assert (tokens.roles == Role.THOUGHT).any()


def _as_step(observation, decision):
    from rig.records import CodedStep

    return CodedStep(
        index=0,
        frame=observation.frame,
        instruction=observation.instruction,
        previous_action=observation.previous_action,
        earlier_actions=observation.earlier_actions,
        action=decision.action,
        thought=decision.thought,
        next_codes=np.zeros(81, np.uint16),
        dreams=decision.dreams,
        review=decision.review,
    )


def test_forms_without_fields_speak_without_them(checkpoint):
    for thought, dream in ((True, False), (False, True), (False, False)):
        prompt_format = PromptFormat(thought=thought, dream=dream)
        decision = policy_of(checkpoint, prompt_format=prompt_format, dreams=1).decide(observations(1), [0])[0]
        assert (decision.thought is not None) == thought
        assert (decision.dreams[0].codes is not None) == dream
        assert decision.review is not None


def test_guessing_changes_no_decision(checkpoint, monkeypatch):
    """One world alone guesses codes ahead; told not to, it dreams the very same."""
    seen = observations(1)
    policy = policy_of(checkpoint, dreams=2, entropy_threshold=0.0)
    assert policy.engine.speculation_for(1) == Speculation(codes=26)
    assert policy.engine.speculation_for(1000) == ONE_BY_ONE
    seed, (guessed,) = clearly(lambda seed: policy.decide(seen, [seed]))
    monkeypatch.setattr(policy.engine, "speculation_for", lambda rows, **_: ONE_BY_ONE)
    (plain,) = policy.decide(seen, [seed])
    assert (guessed.thought, guessed.action) == (plain.thought, plain.action)
    for ours, other in zip(guessed.dreams, plain.dreams, strict=True):
        assert np.array_equal(ours.codes, other.codes)
    assert replace(guessed.cost, seconds=0.0) == replace(plain.cost, seconds=0.0)


def test_a_dream_is_drawn_over_the_frame_before(checkpoint, monkeypatch):
    """Where the network is sure of everything, one pass over the codes of what was seen last is the dream."""
    drawn = []
    take = ImageWriting.take

    def spy(writing, *predicted):
        drawn.append((writing.codes.copy(), writing.passes))
        take(writing, *predicted)

    monkeypatch.setattr(ImageWriting, "take", spy)
    policy = policy_of(checkpoint, dreams=2, entropy_threshold=99.0)
    (seen,) = observations(1)
    (decision,) = policy.decide([seen], [5])
    assert [passes for _, passes in drawn] == [0, 0]
    np.testing.assert_array_equal(drawn[0][0], policy.engine.encode_images(seen.frame[None])[0])
    np.testing.assert_array_equal(drawn[1][0], decision.dreams[0].codes)


def test_an_unsure_dream_is_the_last(checkpoint):
    """A dream of an untrained network is as unsure as can be: ln 64 nats per code, or nearly."""
    seen = observations(2)
    policy = policy_of(checkpoint, dreams=2)
    seed, whole = clearly(lambda seed: policy.decide(seen, [seed, seed + 1]))
    seeds = [seed, seed + 1]
    unmoved = policy_of(checkpoint, dreams=2, stop_entropy=5.0).decide(seen, seeds)
    assert [d.dreams[-1].action for d in unmoved] == [d.dreams[-1].action for d in whole]
    for decision, full in zip(
        policy_of(checkpoint, dreams=2, stop_entropy=0.1).decide(seen, seeds), whole, strict=True
    ):
        assert [len(decision.dreams), len(full.dreams)] == [1, 2]
        assert np.array_equal(decision.dreams[0].codes, full.dreams[0].codes)
        assert decision.review is not None
        assert decision.cost.image_tokens == 81


def test_imagining_without_a_lookahead_changes_no_decision(checkpoint):
    seen = observations(2)
    policy = policy_of(checkpoint)
    seed, plain = clearly(lambda seed: policy.decide(seen, [seed, seed + 1]))
    shown = policy_of(checkpoint, planner=Basic(imagine=True)).decide(seen, [seed, seed + 1])
    assert [d.action for d in plain] == [d.action for d in shown]
    assert all(d.dreams[0].action == d.action and d.review is None for d in shown)


def test_dreaming_ahead_is_the_lookahead_without_its_review(checkpoint):
    greedy = Sampler(temperature=0.0)
    policy = policy_of(checkpoint, dreams=2, text=greedy, image=greedy)
    shown, whole = clearly(lambda seed: policy.decide(observations(1, seed), [1]), range(60))
    ahead = policy.dream_ahead(observations(1, shown), [1], [2])
    for dreams, decision in zip(ahead, whole, strict=True):
        assert [dream.action for dream in dreams] == [dream.action for dream in decision.dreams]
        assert all(np.array_equal(a.codes, b.codes) for a, b in zip(dreams, decision.dreams, strict=True))


def test_dreams_of_several_lengths_are_the_dreams_dreamed_alone(checkpoint):
    seen = observations(2)
    policy = policy_of(checkpoint, dreams=2)
    first, together = clearly(lambda seed: policy.dream_ahead(seen, [seed, seed + 1], [1, 2]), range(60))
    assert [len(dreams) for dreams in together] == [1, 2]
    for number, (observation, dreams) in enumerate(zip(seen, together, strict=True)):
        alone = policy.dream_ahead([observation], [first + number], [len(dreams)])[0]
        assert [dream.action for dream in dreams] == [dream.action for dream in alone]
        assert all(np.array_equal(a.codes, b.codes) for a, b in zip(dreams, alone, strict=True))


def test_an_agent_is_called_by_its_folder_or_its_run(tmp_path):
    assert short_name("checkpoints/rig-crafter-small") == "rig-crafter-small"
    assert short_name(tmp_path / "mine" / "agent") == "mine"


def test_impossible_policies_are_named():
    with pytest.raises(RigError, match="reviews its first proposal once"):
        PolicyConfig(prompt_format=PromptFormat(dream=False), planner=Lookahead(dreams=2))
    with pytest.raises(RigError, match="at least 1"):
        Lookahead(dreams=0)
    with pytest.raises(RigError, match="thought_tokens=0"):
        PolicyConfig(thought_tokens=0)


def episodes(count, skip=0):
    world = make_world("crafter")
    seeds = world.episode_seeds(world.tasks["place_table"], "tool", Split.VALIDATION, count, skip=skip)
    return [Episode(task="place_table", setting="tool", seed=seed) for seed in seeds]


def test_episodes_played_side_by_side_are_the_episodes_played_alone(checkpoint):
    actor = PolicyActor(policy_of(checkpoint))
    lineage = Lineage(stage="live", actor="test")

    def run(batch, skip):
        wanted = episodes(3, skip)
        played = play(lambda: make_world("crafter"), actor, wanted, batch_size=batch, lineage=lineage)
        return {
            entry.episode.seed: [(step.action, step.thought, step.frame.tobytes()) for step in entry.trajectory.steps]
            for entry in played
        }

    skip, alone = clearly(lambda skip: run(1, skip))
    assert alone == run(2, skip)


def test_foresight_goes_on_from_step_to_step_and_ends_where_the_episode_does():
    entry, place, left = episodes(1)[0], *(Action.press(key) for key in ("place_table", "move_left"))
    world, copied = make_world("crafter"), make_world("crafter")
    frame, _ = copied.reset(seed=entry.seed, options={"task": entry.task, "setting": entry.setting})
    goes, places = SimulatorDynamics(world, copied), SimulatorDynamics(world, copied)
    once, done = goes.follow(left), places.follow(place)
    twice = goes.follow(left)
    assert np.array_equal(copied.load(copied.save()), frame), "the world itself has not moved"
    assert np.array_equal(places.follow(left), done), "with the table the task is done, and nothing follows"
    for shown in (once, twice):
        assert np.array_equal(copied.act(left)[0], shown)
    copied.reset(seed=entry.seed)
    assert np.array_equal(copied.act(place)[0], done)


def test_a_teacher_can_play_and_steps_chain():
    world_of, actor = (lambda: make_world("crafter")), TeacherActor(TEACHERS.get("crafter")())
    seen = []
    played = list(
        play(
            world_of,
            actor,
            episodes(3),
            batch_size=2,
            lineage=Lineage(stage="live", actor="t"),
            before=lambda episode, world, index: seen.append((episode.seed, index)),
        )
    )
    assert all(entry.trajectory.success for entry in played)
    assert len(seen) == sum(len(entry.trajectory.steps) for entry in played)
    for entry in played:
        steps = entry.trajectory.steps
        for before, after in pairwise(steps):
            assert np.array_equal(before.next_frame, after.frame)
            assert after.previous_action == before.action
    assert sum((entry.cost for entry in played), Cost()).text_tokens == 0


@pytest.mark.parametrize("history", [1, 8])
@pytest.mark.parametrize("spelled", [False, True])
def test_every_conversation_fits_the_policys_capacity(checkpoint, spelled, history):
    """Also with a tokenizer that spells the prompt's phrases byte by byte, as Janus' own nearly does."""
    tokenizer = train_bpe([], vocabulary_size=270) if spelled else checkpoint.tokenizer
    encoder = SegmentEncoder(tokenizer, checkpoint.model.config.layout)
    prompt_format = replace(checkpoint.prompt_format, history=history)
    config = PolicyConfig(prompt_format=prompt_format, planner=Lookahead(dreams=3), thought_tokens=40)
    longest_key = Action.press("make_stone_pickaxe")
    observation = replace(observations(1)[0], previous_action=longest_key, earlier_actions=(longest_key,) * 9)
    thought = "x" * 40
    dream = Dream(
        thought=thought, action=observation.previous_action, codes=np.zeros(81, np.uint16), frame=observation.frame
    )
    review = Review(thought=thought, action=observation.previous_action, helped=False)
    plan = Plan(thought=thought, action=dream.action, dreams=(dream,) * 3)
    decision = Decision(action=review.action, thought=thought, plans=(plan,), review=review)
    longest = encoder.encode(lookahead_conversation(_as_step(observation, decision), CRAFTER, prompt_format))
    room = config.capacity(encoder, CRAFTER)
    assert len(longest) <= room < 2.5 * len(longest)
