"""An illegal action cannot be written, whatever the logits; a thought holds ordinary text and ends with its phrase."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sessions import Session
from test_dialogue import gapped

from rig.actions import CRAFTER, MINERL, Action, ActionGrammar, ActionSpace
from rig.dialogue import Kind, TokenSequence, prompt, train_bpe
from rig.engine import ActionConstraint, Engine, Sampler, ThoughtConstraint
from rig.errors import RigError
from rig.model import PRESETS, RIG

torch.set_num_threads(1)  # threads that spin for a shared core cost more than they give

TEXTS = [
    "1. The tree is near, and the cow is left. 2. No wood yet. 3. Go forward, sprint, and jump.",
    "forward, sprint, attack, camera:[10,-15]",
    "and next frame: move_left",
] * 3
ATOMIC = train_bpe(TEXTS, vocabulary_size=420, atoms=[*prompt.LITERALS, *CRAFTER.keys, *MINERL.keys, "noop"])
PLAIN = train_bpe(TEXTS, vocabulary_size=320)
BYTES = train_bpe([], vocabulary_size=262)
TOKENIZERS = {"atomic": ATOMIC, "plain": PLAIN, "bytes": BYTES}
SPACES = {"crafter": CRAFTER, "minerl": MINERL}


def constraint(tokenizer, space, phrase=prompt.NEXT_FRAME):
    return ActionConstraint(tokenizer, ActionGrammar(space), tokenizer.encode(phrase, literal=True))


CONSTRAINTS = {(name, space): constraint(TOKENIZERS[name], SPACES[space]) for name in TOKENIZERS for space in SPACES}
CASES = pytest.mark.parametrize(("name", "space"), list(CONSTRAINTS))


def wander(automaton, choose):
    """Write tokens that `choose` picks among the allowed ones until the automaton is done."""
    state, ids = automaton.start, []
    while not automaton.is_done(state):
        allowed = automaton.allowed(state).nonzero()[:, 0].tolist()
        ids.append(choose(allowed))
        state = automaton.advance(state, ids[-1])
        assert len(ids) <= automaton.limit
    return ids


def action_of(automaton, tokenizer, ids):
    end = automaton.terminator_ids
    assert tuple(ids[-len(end) :]) == end
    return tokenizer.decode(ids[: -len(end)])


@CASES
def test_every_walk_is_a_legal_action(name, space):
    automaton = CONSTRAINTS[name, space]

    @settings(max_examples=40)
    @given(st.integers(0, 2**32))
    def check(seed):
        random = np.random.default_rng(seed)
        ids = wander(automaton, lambda allowed: int(random.choice(allowed)))
        SPACES[space].parse(action_of(automaton, TOKENIZERS[name], ids))

    check()


@CASES
def test_every_action_can_be_written_as_training_writes_it(name, space):
    automaton, tokenizer = CONSTRAINTS[name, space], TOKENIZERS[name]
    actions = [Action(), *(Action.press(key) for key in SPACES[space].keys)]
    if space == "minerl":
        actions += [Action.press("forward", "sprint", camera=(0, 10)), Action.press(*MINERL.keys, camera=(-180, 175))]
    for action in actions:
        state = automaton.start
        ids = [*tokenizer.encode(SPACES[space].format(action), literal=True), *automaton.terminator_ids]
        for token in ids:
            assert automaton.allowed(state)[token]
            state = automaton.advance(state, token)
        assert automaton.is_done(state)
        assert len(ids) <= automaton.limit


def test_the_phrase_and_the_action_may_begin_alike():
    """A plain tokenizer writes the comma of `, and next frame: ` and that of `forward, sprint` as one same token."""
    comma = PLAIN.encode(",")[0]
    automaton = CONSTRAINTS["plain", "minerl"]
    assert automaton.terminator_ids[0] == comma
    assert PLAIN.encode("forward, sprint")[-2:][0] != automaton.terminator_ids[1]
    state = automaton.start
    for token in [*PLAIN.encode("forward"), comma]:
        state = automaton.advance(state, token)
    allowed = automaton.allowed(state)
    assert allowed[automaton.terminator_ids[1]]
    assert allowed[PLAIN.encode("forward, sprint")[len(PLAIN.encode("forward,"))]]
    ended = automaton.advance(state, automaton.terminator_ids[1])
    assert automaton.allowed(ended).nonzero()[:, 0].tolist() == [automaton.terminator_ids[2]]


@pytest.mark.parametrize("action", ["a", "b", "a, b", "a, b, c"])
def test_a_phrase_that_reads_on_like_an_action_ends_any_action(action):
    """Behind `a`, the phrase `, b!` is an action `a, b` until its last token; another may begin right there."""
    space = ActionSpace(name="tiny", keys=("a", "b", "c"))
    automaton = ActionConstraint(BYTES, ActionGrammar(space), BYTES.encode(", b!"))
    state = automaton.start
    for token in BYTES.encode(f"{action}, b!"):
        assert automaton.allowed(state)[token]
        assert not automaton.is_done(state)
        state = automaton.advance(state, token)
    assert automaton.is_done(state)


def test_special_tokens_never_spell_an_action():
    for automaton, tokenizer in ((CONSTRAINTS["atomic", "crafter"], ATOMIC), (CONSTRAINTS["plain", "minerl"], PLAIN)):
        allowed = automaton.allowed(automaton.start)
        assert not allowed[[tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.begin_image]].any()
    assert CONSTRAINTS["atomic", "crafter"].allowed(CONSTRAINTS["atomic", "crafter"].start)[
        ATOMIC.encode("move_left", literal=True)[0]
    ]


def test_an_id_that_stands_for_no_token_is_never_written():
    """Every state of a walk through an action and a thought leaves the gaps between a tokenizer's ids out."""
    tokenizer = gapped(ATOMIC)
    holes = [index for index, piece in enumerate(tokenizer.pieces) if not piece]
    assert len(holes) > 50
    stop = tokenizer.encode(prompt.NEXT_ACTION, literal=True)
    for automaton in (constraint(tokenizer, CRAFTER), ThoughtConstraint(tokenizer, stop, 4)):
        state = automaton.start
        while not automaton.is_done(state):
            allowed = automaton.allowed(state)
            assert len(allowed) == len(tokenizer)
            assert not allowed[holes].any()
            state = automaton.advance(state, int(allowed.nonzero()[-1]))


def test_an_action_may_end_with_the_end_of_the_turn():
    automaton = ActionConstraint(ATOMIC, ActionGrammar(CRAFTER), [ATOMIC.eos])
    ids = wander(automaton, lambda allowed: max(allowed))
    assert ids[-1] == ATOMIC.eos
    CRAFTER.parse(ATOMIC.decode(ids[:-1]))


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.sampled_from(list(TOKENIZERS)), st.integers(0, 30))
def test_thoughts_are_ordinary_text_up_to_the_phrase(seed, name, max_tokens):
    tokenizer = TOKENIZERS[name]
    stop = tokenizer.encode(prompt.NEXT_ACTION, literal=True)
    automaton = ThoughtConstraint(tokenizer, stop, max_tokens)
    random = np.random.default_rng(seed)

    def choose(allowed):
        """Prefer the phrase's own tokens, so that a walk runs into its beginning, leaves it and comes back."""
        liked = sorted(set(allowed) & set(stop)) if random.random() < 0.5 else []
        return int(random.choice(liked or allowed))

    ids = wander(automaton, choose)
    assert ids[-len(stop) :] == stop
    thought = ids[: -len(stop)]
    assert len(thought) <= max_tokens
    assert not tokenizer.special_ids & set(thought)
    assert all(ids[start : start + len(stop)] != stop for start in range(len(ids) - len(stop)))


def test_a_phrase_that_repeats_itself_is_found_wherever_it_ends():
    automaton = ThoughtConstraint(PLAIN, [70, 70, 71], 99)

    def follow(ids):
        state = automaton.start
        for token in ids:
            state = automaton.advance(state, token)
        return state

    for count in (2, 3, 4, 5):
        assert automaton.is_done(follow([70] * count + [71]))
    assert not automaton.is_done(follow([70, 71, 70, 70]))
    assert follow([70, 72, 70])[0] == 1


def test_a_long_thought_goes_on_with_the_phrase_it_has_begun():
    automaton = ThoughtConstraint(PLAIN, [70, 71, 72], 4)
    state = automaton.start
    for token in (65, 66, 70, 71):
        state = automaton.advance(state, token)
    assert automaton.allowed(state).nonzero()[:, 0].tolist() == [72]


@pytest.mark.parametrize("name", list(TOKENIZERS))
def test_a_random_network_at_full_temperature_writes_legal_turns(name):
    tokenizer = TOKENIZERS[name]
    engine = Engine(RIG(PRESETS.get("debug"), seed=0), capacity=320)
    ids = np.array([tokenizer.bos, *range(40, 50)], np.int32)
    length = len(ids)
    start = TokenSequence(
        ids=ids,
        kinds=np.full(length, Kind.TEXT, np.uint8),
        roles=np.zeros(length, np.uint8),
        weights=np.zeros(length, np.float32),
        positions=np.arange(length, dtype=np.int32),
        frames=(),
    )
    session = Session(engine, range(16))
    session.append(range(16), [start] * 16)
    stop = tokenizer.encode(prompt.NEXT_ACTION, literal=True)
    thoughts = session.write_text(range(16), [ThoughtConstraint(tokenizer, stop, 12)] * 16, Sampler())
    assert all(ids[-len(stop) :] == stop for ids in thoughts)
    automata = [CONSTRAINTS[name, "crafter"]] * 8 + [CONSTRAINTS[name, "minerl"]] * 8
    written = session.write_text(range(16), automata, Sampler(temperature=1.0))
    for automaton, ids in zip(automata, written, strict=True):
        automaton.grammar.space.parse(action_of(automaton, tokenizer, ids))


def test_empty_phrases_are_refused():
    with pytest.raises(RigError, match="stop_ids is empty"):
        ThoughtConstraint(PLAIN, [], 3)
    with pytest.raises(RigError, match="terminator_ids is empty"):
        ActionConstraint(PLAIN, ActionGrammar(CRAFTER), [])


def test_masks_are_booleans_of_the_tokenizers_size():
    automaton = CONSTRAINTS["plain", "crafter"]
    mask = automaton.allowed(automaton.start)
    assert (mask.dtype, len(mask)) == (torch.bool, len(PLAIN))
    assert automaton.allowed(automaton.start) is mask
