"""What an agent is told of the actions that led here: the same in training, in play and in its dreams, and on disk."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_data_roundtrip import assert_same, info_for, write
from test_policy import Dictated

from rig.actions import CRAFTER, MINERL, NOOP, Action
from rig.agents import Basic, Lookahead, PolicyConfig, TeacherActor, build_policy
from rig.agents.checkpoint import AgentCheckpoint
from rig.data import Dataset, DatasetWriter
from rig.data.rows import SCHEMA
from rig.dialogue import (
    PromptFormat,
    SegmentEncoder,
    Text,
    TextTokenizer,
    answer_prefix,
    as_written,
    ask_about,
    asked_to_judge,
    asked_to_review,
    lookahead_conversation,
    reread,
    told_actions,
    train_bpe,
)
from rig.engine import Fork, GeneratedImage, GeneratedText, Prefill
from rig.envs import Split, make_world
from rig.envs.rollout import Episode, play
from rig.errors import DatasetError, RigError
from rig.evaluate.imagination import asked_to_dream
from rig.model import PRESETS
from rig.records import (
    MOST_EARLIER,
    Decision,
    Dream,
    Lineage,
    Observation,
    Plan,
    fake_frame,
    fake_step,
    fake_trajectory,
)
from rig.teachers import RandomTeacher

USE, LEFT, UP, SLEEP = (Action.press(key) for key in ("use", "move_left", "move_up", "sleep"))
FOUR = PromptFormat(history=4)
THOUGHT = "1. We see a tree to the west."


def lookahead_step(dreams=2, size=8):
    """A step behind left, up, sleep and the start, with a lookahead that dreams to use and to go left."""
    step = fake_step(3, size=size, num_dreams=dreams)
    acts = [replace(dream, thought=THOUGHT, action=act) for dream, act in zip(step.dreams, (USE, LEFT), strict=False)]
    acts = [replace(dream, codes=np.zeros(6, np.uint16), real_frame=None) for dream in acts]
    coded = step.with_next_codes(np.zeros(6, np.uint16))
    return replace(coded, thought=THOUGHT, dreams=tuple(acts), previous_action=LEFT, earlier_actions=(UP, SLEEP, NOOP))


def told_in(segments):
    """What stands behind "The previous action: " in each human turn."""
    texts = [segment.text for segment in segments if isinstance(segment, Text)]
    return [texts[place + 1] for place, text in enumerate(texts) if text.endswith("The previous action: ")]


# The prompt


@pytest.mark.parametrize(
    ("count", "first", "dreamed"),
    [
        (1, "move_left", "use"),
        (2, "move_left;move_up", "use;move_left"),
        (4, "move_left;move_up;sleep;noop", "use;move_left;move_up;sleep"),
        (64, "move_left;move_up;sleep;noop", "use;move_left;move_up;sleep;noop"),
    ],
)
def test_a_dream_tells_what_was_dreamed_before_what_was_done_and_a_review_what_was_done(count, first, dreamed):
    step, prompt_format = lookahead_step(), PromptFormat(history=count)
    assert told_in(asked_to_review(step, CRAFTER, prompt_format)) == [first, dreamed, first]
    last = ";".join(f"move_left;{dreamed}".split(";")[:count])
    blind = replace(prompt_format, reobserve=False)
    assert told_in(asked_to_review(step, CRAFTER, blind)) == [first, dreamed, last]
    assert told_in(asked_to_judge(step, CRAFTER, prompt_format)) == [first, dreamed, first]
    assert told_in(asked_to_judge(step, CRAFTER, blind)) == [first, dreamed, last]
    undreamed = replace(step, dreams=(), action=USE)
    assert told_in(asked_to_judge(undreamed, CRAFTER, blind)) == [first, dreamed]


def test_sixteen_of_crafters_actions_leave_the_answer_at_its_place_behind_the_image():
    tokenizer = TextTokenizer.load(Path(__file__).parents[1] / "checkpoints" / "rig-crafter-small")
    encoder, keys = SegmentEncoder(tokenizer, PRESETS.get("small").layout), CRAFTER.keys
    seen = replace(fake_step(), instruction="make a stone pickaxe", earlier_actions=tuple(map(Action.press, keys[1:])))
    for count in (1, 8, 16):
        prompt_format = PromptFormat(history=count)
        asked = encoder.encode([*ask_about(seen, CRAFTER, prompt_format), *answer_prefix(prompt_format)])
        assert asked.positions[-1] == 384


@pytest.mark.parametrize("count", [0, 65, "4", True, 2.0])
def test_no_other_number_of_actions_can_be_told(count):
    with pytest.raises(RigError, match=r"PromptFormat.history is"):
        PromptFormat(history=count)


def test_an_agents_file_says_how_many_and_one_that_does_not_means_the_last(made, tmp_path):
    checkpoint = AgentCheckpoint.load(made.agent)
    assert checkpoint.prompt_format.history == 1
    replace(checkpoint, prompt_format=FOUR).save(tmp_path / "agent")
    assert AgentCheckpoint.load(tmp_path / "agent").prompt_format == FOUR


# Play is what training shows


@dataclass
class Recorded:
    """A planner that keeps every token of the conversations that another one holds, each fork's with what is before."""

    inner: object
    dreams: int

    def __post_init__(self):
        self.held = []

    def check(self, prompt_format):
        """Any will do."""

    def decide(self, state):
        return self.following(self.inner(state), [], [])

    def following(self, conversation, ids, positions):
        self.held.append((ids, positions))
        sent = None
        while True:
            try:
                wish = conversation.send(sent)
            except StopIteration as ended:
                return ended.value
            if isinstance(wish, Fork):
                wish = Fork(programs=[partial(self.forked, way, list(ids), list(positions)) for way in wish.programs])
            sent = yield wish
            if isinstance(wish, Prefill):
                ids += wish.tokens.ids.tolist()
                positions += wish.tokens.positions.tolist()
            elif isinstance(sent, GeneratedText | GeneratedImage):
                written = sent.ids if isinstance(sent, GeneratedText) else sent.codes.tolist()
                positions += range(positions[-1] + 1, positions[-1] + 1 + len(written))
                ids += written

    def forked(self, way, ids, positions, slot):
        return self.following(way(slot), ids, positions)


@pytest.fixture(scope="module")
def checkpoint(made):
    return AgentCheckpoint.load(made.agent)


@pytest.fixture(scope="module")
def seen():
    frame = fake_frame(np.random.default_rng(0), 144)
    return Observation(
        frame=frame, instruction="collect wood", previous_action=LEFT, earlier_actions=(UP, SLEEP, SLEEP, UP, NOOP)
    )


def recorded_policy(checkpoint, prompt_format, inner, dreams):
    """Return a policy that always thinks and does the same, and its planner."""
    planner = Recorded(inner, dreams)
    config = PolicyConfig(prompt_format=prompt_format, planner=planner, thought_tokens=64)
    policy, tokenizer = build_policy(checkpoint, config), checkpoint.tokenizer
    speaker = policy._speaker
    policy._speaker = replace(
        speaker,
        thought=Dictated(tokenizer, tokenizer.encode(THOUGHT), speaker.thought.stop_ids),
        action=Dictated(tokenizer, tokenizer.encode("use", literal=True), speaker.action.terminator_ids),
    )
    return policy, planner


def assert_begins(encoder, segments, held):
    """The conversation held is that of the segments, as far as it went, token for token at the same positions."""
    tokens = encoder.encode(segments)
    ids, positions = held
    assert len(ids) > 200
    assert ids == tokens.ids[: len(ids)].tolist()
    assert positions == tokens.positions[: len(ids)].tolist()


@pytest.mark.parametrize("changes", [{}, {"read_back": "codes"}, {"reobserve": False}])
@pytest.mark.parametrize("history", [1, 4])
def test_a_lookahead_of_two_dreams_is_played_as_it_is_learned(checkpoint, seen, history, changes):
    prompt_format = replace(checkpoint.prompt_format, history=history, **changes)
    policy, planner = recorded_policy(checkpoint, prompt_format, Lookahead(dreams=2).decide, 2)
    (decision,) = policy.decide([seen], [0])
    known = vars(seen) | {"index": 0, "thought": decision.thought, "action": decision.action}
    step = replace(fake_step(), **known, dreams=decision.dreams, review=decision.review, candidates=())
    step = step.with_next_codes(decision.dreams[0].codes)
    segments = lookahead_conversation(step, CRAFTER, prompt_format)
    assert told_in(segments)[1] == ("use" if history == 1 else "use;move_left;move_up;sleep")
    ((ids, positions),) = planner.held
    assert_begins(checkpoint.encoder, segments, (ids, positions))
    assert len(ids) > len(checkpoint.encoder.encode(segments)) - 90, "all but the frame behind the review"


def test_plans_are_dreamed_and_judged_as_that_is_learned(checkpoint, seen):
    prompt_format = replace(checkpoint.prompt_format, judgement="lost", history=4)
    plans = [Plan(thought=THOUGHT, action=action) for action in (LEFT, UP)]
    found = []

    def way(state, plan, dreams):
        yield from state.retell(plan)
        yield from state.look_ahead(dreams)
        yield from state.ask_worth()
        found.append((plan, tuple(state.dreams)))

    def decide(state):
        yield from state.observe()
        yield from state.fork([partial(way, plan=plan, dreams=dreams) for plan in plans for dreams in (2, 0)])
        return Decision(action=LEFT)

    policy, planner = recorded_policy(checkpoint, prompt_format, decide, 2)
    policy.decide([seen], [0])
    asked = {}
    for plan, dreams in found:
        known = vars(seen) | {"index": 0, "thought": plan.thought, "action": plan.action}
        segments = asked_to_judge(replace(fake_step(), **known, dreams=dreams), CRAFTER, prompt_format)
        asked[plan.action, len(dreams)] = segments, checkpoint.encoder.encode(segments)
    really = "move_left;move_up;sleep;sleep"
    assert told_in(asked[UP, 2][0]) == [really, "move_up;move_left;move_up;sleep", really]
    wanted = [(tokens.ids.tolist(), tokens.positions.tolist()) for _, tokens in asked.values()]
    assert sorted(planner.held[1:]) == sorted(wanted)


def test_what_is_learned_of_its_own_play_stands_behind_what_it_was_written_behind(checkpoint, seen):
    prompt_format = replace(checkpoint.prompt_format, history=4)
    policy, planner = recorded_policy(checkpoint, prompt_format, Basic().decide, 0)
    (decision,) = policy.decide([seen], [0])
    step = replace(fake_step(), **vars(seen), tokens=decision.tokens)
    weights = np.ones(len(decision.tokens.ids), np.float32)
    tokens = as_written(step, CRAFTER, checkpoint.encoder, prompt_format, weights)
    assert [(tokens.ids.tolist(), tokens.positions.tolist())] == planner.held


def test_along_a_real_chain_a_dream_tells_what_a_lookahead_would():
    steps = fake_trajectory(2, length=6, size=8).steps
    (told,) = told_in(asked_to_dream(steps[5], None, CRAFTER, FOUR, imagined=True))
    dreams = [Dream(thought=None, action=step.action, frame=step.frame) for step in steps[3:5]]
    assert told_in(reread(dreams, steps[3], CRAFTER, FOUR)) == [told]
    assert told == ";".join(CRAFTER.format(step.action) for step in reversed(steps[1:5]))


# Episodes


def test_whoever_plays_is_told_what_was_executed_up_to_a_bound():
    """Also in its last steps of 70, and of each of two episodes beside each other."""
    world, handed = make_world("crafter"), {}
    task = world.tasks["build_wall"]
    seeds = world.episode_seeds(task, "manual", Split.TRAIN, 2)
    random = RandomTeacher()

    class Watching:
        def deciding(self, places):
            self.inner = TeacherActor(random).deciding(places)
            return self

        def see(self, key, world):
            self.world = world
            self.inner.see(key, world)

        def submit(self, key, observation, seed):
            handed.setdefault(self.world.seed, []).append(observation)
            self.inner.submit(key, observation, seed)

        def next(self):
            return self.inner.next()

    played = play(
        partial(make_world, "crafter"),
        Watching(),
        [Episode(task=task.name, setting="manual", seed=seed) for seed in seeds],
        most_steps=70,
        lineage=Lineage(stage="live", actor="t"),
    )
    lengths = list[int]()
    for one in played:
        done = [NOOP]
        for step, observation in zip(one.trajectory.steps, handed[one.episode.seed], strict=True):
            assert step.executed == observation.executed == tuple(done[::-1][: MOST_EARLIER + 1])
            done.append(step.action)
        lengths.append(len(one.trajectory.steps))
    assert max(lengths) == 70 > MOST_EARLIER + 2


def test_a_step_that_remembers_more_is_refused():
    with pytest.raises(RigError, match="step 0: 64 earlier actions, and 63 are the most"):
        replace(fake_step(), earlier_actions=(USE,) * 64)


# On disk


def steps_file(dataset):
    return dataset.path / "shards" / "steps-00000.parquet"


def columns(dataset):
    return pq.read_schema(steps_file(dataset)).names


def some_steps(trajectory, *indices):
    return trajectory.with_steps(tuple(trajectory.steps[index] for index in indices))


LONG = fake_trajectory(4, length=70, size=8)


def test_a_whole_episode_has_no_column_for_it_and_every_step_has_it_all(tmp_path):
    forgetful = LONG.with_steps(tuple(replace(step, earlier_actions=()) for step in LONG.steps))
    dataset = Dataset(write(tmp_path / "set", [LONG]))
    assert columns(dataset) == SCHEMA.names[:-3], "as it was before there was any"
    assert len(LONG.steps[-1].earlier_actions) == MOST_EARLIER
    assert_same(dataset[0], LONG)
    untold = Dataset(write(tmp_path / "untold", [forgetful]))
    assert untold.content_hash == dataset.content_hash, "who made the steps need not know"
    assert_same(untold[0], LONG)
    dataset.verify()


def test_where_steps_are_left_out_what_is_not_told_by_others_is_kept(tmp_path):
    some = some_steps(LONG, 0, 1, 5, 6, 7, 69)
    dataset = Dataset(write(tmp_path / "set", [some, fake_trajectory(5, size=8)]))
    assert_same(dataset[0], some)
    assert_same(dataset[1], fake_trajectory(5, size=8))
    assert columns(dataset) == [*SCHEMA.names[:-3], "earlier_actions"]
    kept = dataset.table(["index", "earlier_actions"]).to_pylist()
    assert [row["index"] for row in kept if row["earlier_actions"] is not None] == [5, 69]
    dataset.verify()
    (step,) = dataset[0].steps[3:4]
    assert step.earlier_actions == LONG.steps[6].earlier_actions, "read one by one, too"
    last = dataset[0].steps[5]
    assert len({id(action) for action in last.earlier_actions}) == len(set(last.earlier_actions)) < MOST_EARLIER


def test_an_older_dataset_of_such_steps_tells_what_its_steps_tell(tmp_path):
    """Without the column: of steps that follow each other the actions before, and of any other none."""
    some = some_steps(LONG, 5, 6, 7, 69)
    older = some.with_steps(tuple(replace(step, earlier_actions=()) for step in some.steps))
    dataset = Dataset(write(tmp_path / "set", [older]))
    assert "earlier_actions" not in columns(dataset)
    five, six = LONG.steps[5].previous_action, LONG.steps[6].previous_action
    assert [step.earlier_actions for step in dataset[0].steps] == [(), (five,), (six, five), ()]


@pytest.mark.parametrize("told", [True, False])
def test_branches_are_numbered_one_after_the_other_and_do_not_follow_each_other(tmp_path, told):
    """Three of one state, and one of where the episode begins."""
    begun = [LONG.steps[9]] * 3 + [LONG.steps[0]]
    steps = [replace(step, index=index) for index, step in enumerate(begun)]
    steps = steps if told else [replace(step, earlier_actions=()) for step in steps]
    sets = replace(LONG, steps=tuple(steps), lineage=Lineage(stage="branch", actor="t"))
    dataset = Dataset(write(tmp_path / "set", [sets], info_for(stage="branch")))
    assert_same(dataset[0], sets)
    assert [step.executed for step in dataset[0].steps] == [step.executed for step in steps]
    assert ("earlier_actions" in columns(dataset)) == told


def test_a_part_of_an_episode_begun_midway_needs_its_first_step_alone(tmp_path):
    """As an attempt of `rig improve`: numbered from 0, and behind actions all the same."""
    steps = tuple(replace(step, index=index) for index, step in enumerate(LONG.steps[20:24]))
    dataset = Dataset(write(tmp_path / "set", [LONG.with_steps(steps)]))
    assert_same(dataset[0], LONG.with_steps(steps))
    kept = dataset.table(["earlier_actions"]).column("earlier_actions")
    assert [value is not None for value in kept.to_pylist()] == [True, False, False, False]


def test_shards_with_the_column_and_without_are_one_dataset(tmp_path):
    some = some_steps(fake_trajectory(6, length=9, size=8), 2, 5, 8)
    both = [fake_trajectory(5, size=8), some]
    with DatasetWriter(tmp_path / "set", info_for(), shard_steps=3) as writer:
        for trajectory in both:
            writer.append(trajectory)
    dataset = Dataset(tmp_path / "set")
    assert len(dataset.manifest.shards) == 2
    for found, wanted in zip(dataset, both, strict=True):
        assert_same(found, wanted)
    assert dataset.table().num_rows == 7
    dataset.verify()


@pytest.mark.parametrize(
    ("value", "message"),
    [(["use", "fly"], "fly"), (["use"] * 64, "64 earlier actions"), ([None], "earlier|None")],
)
def test_what_is_spoilt_in_it_is_named_with_its_row(tmp_path, monkeypatch, value, message):
    dataset = Dataset(write(tmp_path / "set", [some_steps(LONG, 3, 9)]))
    table = pq.read_table(steps_file(dataset))
    place = table.schema.get_field_index("earlier_actions")
    values = [None, value]
    spoilt = table.set_column(place, table.schema.field(place), pa.array(values, table.schema.field(place).type))
    pq.write_table(spoilt, steps_file(dataset))
    monkeypatch.setattr("rig.data.shards.ShardReader._check", lambda *_: None)
    monkeypatch.setattr("rig.data.manifest.Shard.faults", lambda *_: ())
    for read in (lambda: list(Dataset(dataset.path)), dataset._open_shard(0).verify):
        with pytest.raises(DatasetError, match=message) as refused:
            read()
        assert f"{steps_file(dataset)}, row 1" in str(refused.value)


def test_an_action_of_another_space_is_not_stored(tmp_path):
    odd = some_steps(LONG, 3)
    odd = odd.with_steps((replace(odd.steps[0], earlier_actions=(Action.press("fly"),)),))
    with pytest.raises(DatasetError, match="step 3: 'fly' is not a key"):
        write(tmp_path / "set", [odd])


@pytest.mark.parametrize("atoms", [(), (*MINERL.keys, "noop")])
def test_there_is_room_for_the_longest_actions_and_no_more_than_they_may_take(checkpoint, atoms):
    """Where keys are single tokens they are counted so: the cache of a world of many keys would else be vast."""
    tokenizer = train_bpe([], vocabulary_size=300, atoms=atoms)
    encoder = SegmentEncoder(tokenizer, checkpoint.model.config.layout)
    room = [PolicyConfig(prompt_format=PromptFormat(history=count)).capacity(encoder, MINERL) for count in (1, 8)]
    everything = Action(keys=frozenset(MINERL.keys), camera=(-180, -180))
    taken = [
        len(tokenizer.encode(told_actions([everything] * count, MINERL, PromptFormat(history=8)), literal=True))
        for count in (1, 8)
    ]
    assert taken[1] - taken[0] <= room[1] - room[0] < 1.2 * (taken[1] - taken[0])


def test_the_text_of_no_action_holds_what_stands_between_them():
    both = [USE, LEFT]
    assert told_actions(both, CRAFTER, FOUR) == "use;move_left"
    with pytest.raises(RigError, match="cannot be a key"):
        replace(CRAFTER, keys=("use;left",))
