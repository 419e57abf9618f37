"""Steps to conversations to token ids and back, exactly; the prompt itself is held as golden text."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rig.actions import CRAFTER, MINERL, Action
from rig.agents.checkpoint import about_agent
from rig.dialogue import (
    End,
    Kind,
    Layout,
    Learned,
    PromptFormat,
    ReadImage,
    Role,
    SegmentEncoder,
    Text,
    TextTokenizer,
    WriteImage,
    basic_conversation,
    conversation_of,
    description_conversation,
    flaw,
    lookahead_conversation,
    parse_conversation,
    prompt,
    train_bpe,
)
from rig.errors import CheckpointError, DialogueError, RigError
from rig.records import NOISE, Review, fake_action, fake_step

CORPUS = ["1. The tree is near. 2. No wood yet. 3. Go left."] * 3
ATOMS = [*prompt.LITERALS, *CRAFTER.keys, "noop"]
ATOMIC = train_bpe(CORPUS, vocabulary_size=340, atoms=ATOMS)
PLAIN = train_bpe(CORPUS, vocabulary_size=300)
LAYOUT = Layout(read_tokens=4, write_tokens=6, image_alignment=16)
GOLDEN = {"rig-crafter-small": "55cf66ea6e23173c", "rig-minetest-small": "8bc86c528f4ae4c1"}
"""Shipped agent -> hash of what it read of two conversations when it was trained."""

FORMS = [
    PromptFormat(
        thought=thought,
        dream=dream,
        read_back=way,
        reobserve=again,
        about=None if again else "a board game",
        history=1 if again else 4,
    )
    for thought in (True, False)
    for dream in (True, False)
    for way in ("pixels", "codes")
    for again in (True, False)
]

thoughts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(
    lambda text: not any(phrase.strip() in text for phrase in prompt.LITERALS)
)


def codes(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 16384, LAYOUT.write_tokens).astype(np.uint16)


def coded_step(seed, thought, dreams, space):
    random = np.random.default_rng(seed)
    step = fake_step(seed, space=space, size=8, num_dreams=dreams)
    dreamed = tuple(replace(dream, thought=thought, codes=codes(random), real_frame=None) for dream in step.dreams)
    review = replace(step.review, thought=thought) if step.review else None
    step = step.with_next_codes(codes(random))
    earlier = tuple(fake_action(random, space) for _ in range(seed % 7))
    return replace(step, thought=thought, dreams=dreamed, review=review, earlier_actions=earlier)


def visible(step, prompt_format):
    """What a conversation in `prompt_format` shows of a step."""
    dreams = step.dreams if prompt_format.dream else step.dreams[:1]
    return (
        step.frame.tobytes(),
        step.instruction,
        step.executed[: prompt_format.history],
        step.thought if prompt_format.thought else None,
        step.action,
        step.next_codes.tolist() if prompt_format.dream else None,
        [
            (
                dream.thought if prompt_format.thought else None,
                dream.action,
                dream.codes.tolist() if prompt_format.dream else None,
                dream.frame.tobytes() if prompt_format.dream and prompt_format.read_back == "pixels" else None,
            )
            for dream in dreams
        ],
        step.review is not None,
    )


@settings(max_examples=60)
@given(
    st.integers(0, 2**16),
    thoughts,
    st.integers(0, 3),
    st.sampled_from(FORMS),
    st.sampled_from([CRAFTER, MINERL]),
    st.sampled_from([ATOMIC, PLAIN]),
)
def test_encode_then_decode_is_the_identity(seed, thought, dreams, prompt_format, space, tokenizer):
    step = coded_step(seed, thought, dreams, space)
    build = lookahead_conversation if dreams else basic_conversation
    encoder = SegmentEncoder(tokenizer, LAYOUT)
    tokens = encoder.encode(build(step, space, prompt_format))
    found = parse_conversation(encoder.decode(tokens), space)
    shown = found if prompt_format.dream else found.with_next_codes(step.next_codes)
    assert visible(shown, prompt_format) == visible(step, prompt_format)
    assert np.all(np.diff(tokens.positions) > 0)


@given(thoughts)
def test_text_round_trips_and_thoughts_never_become_atoms(text):
    assert ATOMIC.decode(ATOMIC.encode(text)) == text
    spelled = f"{text} noop use <begin_of_image> {prompt.SYSTEM}"
    assert not ATOMIC.special_ids & set(ATOMIC.encode(spelled))
    assert ATOMIC.decode(ATOMIC.encode(spelled)) == spelled


def test_phrases_and_actions_are_single_tokens_where_the_tokenizer_has_them():
    for phrase in ATOMS:
        assert len(ATOMIC.encode(phrase, literal=True)) == 1
    assert len(ATOMIC.encode("move_left")) > 1
    assert PLAIN.decode(PLAIN.encode(prompt.SYSTEM, literal=True)) == prompt.SYSTEM


@pytest.mark.parametrize("reobserve", [True, False])
def test_the_conversation_reads_as_the_paper_writes_it(reobserve):
    step = coded_step(0, "1. A tree is near.", 1, MINERL)
    dream = replace(step.dreams[0], action=Action.press("forward"))
    review = replace(step.review, thought="2. It got no nearer.", action=Action.press("left", "sprint"))
    step = replace(
        step,
        instruction="build a tower",
        previous_action=Action.press(camera=(0, 10)),
        dreams=(dream,),
        action=review.action,
        review=review,
    )
    parts = {ReadImage: "<image>", WriteImage: "<codes>"}
    shown = "".join(
        segment.text if isinstance(segment, Text) else parts.get(type(segment), "\n")
        for segment in lookahead_conversation(step, MINERL, PromptFormat(reobserve=reobserve))
    )
    again = "<image>" if reobserve else ""
    question = (
        "\nReason about the action, predict the next action from the current frame, task and previous action, and "
        "generate the next frame.\nThe current task: build a tower.\nThe previous action: "
    )
    assert shown == (
        "system: You reason step by step about a Minecraft-like task, act with keys and mouse, and imagine what the "
        f"next frame will show.\nhuman: <image>{question}camera:[0,10].\n"
        "rig: The reasoning: 1. A tree is near. Next action: forward, and next frame: <codes>\n"
        f"\nhuman: <image>\n<Imagine:>{again}{question}{'camera:[0,10]' if reobserve else 'forward'}.\n"
        "rig: Wait! Let's re-observe... The reasoning: 2. It got no nearer. "
        "Next action: left, sprint, and next frame: <codes>\n"
    )


def targets_of(tokens, role):
    return bool(tokens.targets[tokens.roles == role].any())


def test_a_form_says_what_is_reasoned_about_and_none_what_all_were_told():
    told = "system: You reason step by step about a board game, act with keys and mouse, and imagine what the next "
    prompt_format, step = PromptFormat(about="a board game"), coded_step(3, "1. A tree is near.", 0, CRAFTER)
    for segments in (basic_conversation(step, CRAFTER, prompt_format), description_conversation(step, prompt_format)):
        assert segments[0].text == told + "frame will show.\n"
    assert [phrase for phrase in prompt.literals(prompt_format) if phrase not in prompt.LITERALS] == [
        told + "frame will show.\n"
    ]
    assert prompt.literals(PromptFormat()) == prompt.LITERALS
    assert PromptFormat(about="a Minecraft-like task") == PromptFormat()


@pytest.mark.parametrize("about", ["", "x" * 101, 3, "two\nlines", "a game. human: no", "half \ud800"])
def test_what_a_form_cannot_say_is_named(about):
    with pytest.raises(RigError, match=r"PromptFormat.about is"):
        PromptFormat(about=about)


@pytest.mark.parametrize(("agent", "space"), [("rig-crafter-small", CRAFTER), ("rig-minetest-small", MINERL)])
def test_the_shipped_agents_read_what_they_always_read(agent, space):
    folder = Path(__file__).parents[1] / "checkpoints" / agent
    prompt_format, encoder = about_agent(folder).form, SegmentEncoder(TextTokenizer.load(folder), LAYOUT)
    step = coded_step(3, "1. A tree is near.", 2, space)
    told = lookahead_conversation(step, space, prompt_format) + basic_conversation(step, space, prompt_format)
    ids = encoder.encode(told).ids
    assert hashlib.sha256(np.asarray(ids, np.int64).tobytes()).hexdigest()[:16] == GOLDEN[agent]


def test_proposals_carry_no_loss_and_the_review_does():
    step = coded_step(3, "1. A cow.", 2, CRAFTER)
    real = tuple(replace(dream, real_codes=dream.codes) for dream in step.dreams)
    encoder = SegmentEncoder(ATOMIC, LAYOUT)
    unaligned = encoder.encode(lookahead_conversation(step, CRAFTER, PromptFormat()))
    aligned = encoder.encode(lookahead_conversation(replace(step, dreams=real), CRAFTER, PromptFormat()))
    assert unaligned.targets[unaligned.kinds == Kind.CODE].sum() == LAYOUT.write_tokens
    assert aligned.targets[aligned.kinds == Kind.CODE].sum() == 3 * LAYOUT.write_tokens
    review_start = int(np.flatnonzero(aligned.ids == ATOMIC.encode(prompt.REVIEW, literal=True)[0])[0])
    text = np.isin(aligned.roles, [Role.THOUGHT, Role.ACTION]) & (aligned.ids != ATOMIC.eos)
    assert not aligned.targets[:review_start][text[:review_start]].any()
    assert aligned.targets[review_start:][text[review_start:]].all()


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("prompt_format", [PromptFormat(), PromptFormat(dream=False)])
def test_a_proposal_that_is_kept_can_be_learned_like_a_single_turn(prompt_format, kept):
    step = coded_step(3, "1. A cow.", 2, CRAFTER)
    step = replace(step, review=replace(step.review, helped=not kept))
    encoder = SegmentEncoder(ATOMIC, LAYOUT)
    plain = encoder.encode(lookahead_conversation(step, CRAFTER, prompt_format, Learned(kept=0)))
    tokens = encoder.encode(lookahead_conversation(step, CRAFTER, prompt_format))
    assert np.array_equal(tokens.ids, plain.ids)
    first = replace(step, thought=step.dreams[0].thought, action=step.dreams[0].action)
    alone = encoder.encode(basic_conversation(first, CRAFTER, PromptFormat(dream=False)))
    added = tokens.targets & ~plain.targets
    wanted = [index for index in alone.ids[alone.targets] if index != ATOMIC.eos] if kept else []
    said = [index for index in tokens.ids[added] if index != ATOMIC.eos]
    assert said[: len(wanted)] == wanted
    assert len(said) == len(wanted) + (kept and prompt_format.dream), "a dream's mark, and no later proposal"


def test_the_review_looks_at_what_really_came_where_that_is_known():
    step = coded_step(3, "1. A cow.", 2, CRAFTER)
    real = tuple(replace(dream, real_frame=255 - dream.frame) for dream in step.dreams)

    def images(step):
        return [
            part.frame for part in lookahead_conversation(step, CRAFTER, PromptFormat()) if isinstance(part, ReadImage)
        ]

    shown = [step.frame, *(dream.frame for dream in step.dreams), step.frame]
    assert np.array_equal(images(step), shown)
    shown[1:-1] = [dream.real_frame for dream in real]
    assert np.array_equal(images(replace(step, dreams=real)), shown)


def test_noise_is_dreamed_about_and_never_imitated():
    step = replace(coded_step(3, "1. A cow.", 0, CRAFTER), actor=NOISE)
    encoder = SegmentEncoder(ATOMIC, LAYOUT)
    tokens = encoder.encode(basic_conversation(step, CRAFTER, PromptFormat()))
    assert not targets_of(tokens, Role.THOUGHT)
    assert not targets_of(tokens, Role.ACTION)
    assert tokens.targets[tokens.kinds == Kind.CODE].all()


def test_a_segment_weighs_each_of_its_tokens_and_comes_back_with_its_weight():
    encoder = SegmentEncoder(ATOMIC, LAYOUT)
    said = [
        Text(text="Look."),
        Text(text="1. A cow.", role=Role.THOUGHT, weight=-0.5),
        Text(text="use", role=Role.ACTION, literal=True, weight=0.25),
        WriteImage(codes=np.arange(LAYOUT.write_tokens).astype(np.uint16), weight=2.0),
        End(weight=3.0),
    ]
    tokens = encoder.encode(said)
    assert tokens.weights.dtype == np.float32
    for weight, role in ((-0.5, Role.THOUGHT), (0.25, Role.ACTION)):
        of_role = (tokens.roles == role) & (tokens.ids != ATOMIC.eos)
        assert of_role.any()
        assert (tokens.weights[of_role] == weight).all()
    assert (tokens.weights[tokens.kinds == Kind.CODE] == 2).all()
    marks = (tokens.roles == Role.PROMPT) | ((tokens.roles == Role.IMAGE) & (tokens.kinds == Kind.TEXT))
    assert not tokens.weights[marks].any()
    assert np.array_equal(tokens.targets, tokens.weights != 0)
    assert [segment.weight for segment in encoder.decode(tokens)] == [segment.weight for segment in said]


def weights_of_turns(step, style, prompt_format, learned):
    """The weight of the text and that of the image of each turn, each of which has to have one."""
    tokens = SegmentEncoder(ATOMIC, LAYOUT).encode(conversation_of(step, style, CRAFTER, prompt_format, learned))
    found = []
    for turn in np.split(np.arange(len(tokens)), np.flatnonzero(tokens.ids == ATOMIC.eos) + 1)[:-1]:
        said = turn[np.isin(tokens.roles[turn], [Role.THOUGHT, Role.ACTION])]
        said = said[tokens.ids[said] != ATOMIC.eos]
        drawn = turn[tokens.kinds[turn] == Kind.CODE]
        (text,), image = {*tokens.weights[said].tolist()}, {*tokens.weights[drawn].tolist()}
        found.append((text, *image))
    return found


EACH = Learned(answer=0.5, dreamed_about=0.25, kept=2.0, proposal=-1.0, frame=3.0)


@pytest.mark.parametrize("prompt_format", [PromptFormat(), PromptFormat(dream=False)])
def test_each_turn_weighs_what_is_said_to_be_learned(prompt_format):
    """The rows of docs/architecture.md, "Masks", each with a weight of its own."""
    single, ahead = coded_step(3, "1. A cow.", 0, CRAFTER), coded_step(3, "1. A cow.", 2, CRAFTER)
    known, unknown = ([(3.0,), (0.0,)]) if prompt_format.dream else ((), ())
    noise = replace(single, actor=NOISE)
    assert weights_of_turns(single, "basic", prompt_format, EACH) == [(0.5, *known)]
    assert weights_of_turns(noise, "basic", prompt_format, EACH) == [(0.25, *known)]
    assert weights_of_turns(single, "describe", prompt_format, EACH) == [(0.5,)]
    dreams = (replace(ahead.dreams[0], real_codes=ahead.dreams[0].codes), ahead.dreams[1])
    for helped, first in ((True, -1.0), (False, 2.0)):
        review = Review(thought="2. It is near.", action=ahead.action, helped=helped)
        step = replace(ahead, dreams=dreams, review=review)
        turns = [(first, *known), (-1.0, *unknown), (0.5, *known)]
        assert weights_of_turns(step, "lookahead", prompt_format, EACH) == (
            turns if prompt_format.dream else [turns[0], turns[2]]
        )
    assert weights_of_turns(noise, "basic", prompt_format, Learned()) == [(0.0, *(1.0 for _ in known))]


def test_a_step_of_which_nothing_is_learned_is_told():
    step = coded_step(3, "1. A cow.", 0, CRAFTER)
    noise, dreamless = replace(step, actor=NOISE), PromptFormat(dream=False)
    assert flaw(noise, "basic", PromptFormat()) is None
    assert flaw(noise, "basic", dreamless) == "of noise or practice, where nothing is dreamed"
    assert flaw(noise, "describe", dreamless) is None
    assert flaw(noise, "basic", dreamless, Learned(dreamed_about=-0.1)) is None
    assert flaw(step, "basic", dreamless, Learned(answer=0)) == "of which nothing is learned"
    assert flaw(step, "basic", PromptFormat(), Learned(answer=0)) is None
    with pytest.raises(RigError, match=r"proposal of what is learned.*nan"):
        Learned(proposal=float("nan"))


def test_aligned_images_stand_at_a_constant_distance():
    encoder = SegmentEncoder(ATOMIC, Layout(read_tokens=4, write_tokens=6, image_alignment=64))
    distances = set()
    for thought in ("", "1. A tree.", "1. A tree is near and a cow is."):
        tokens = encoder.encode(basic_conversation(coded_step(0, thought, 0, CRAFTER), CRAFTER, PromptFormat()))
        read = tokens.positions[tokens.kinds == Kind.READ][0]
        written = tokens.positions[tokens.kinds == Kind.CODE][0]
        assert read % 64 == written % 64 == 0
        distances.add(int(written - read))
    assert distances == {64}


def test_generation_continues_with_the_positions_of_training():
    step = coded_step(0, "1. A tree.", 0, CRAFTER)
    encoder = SegmentEncoder(ATOMIC, LAYOUT)
    whole = encoder.encode(basic_conversation(step, CRAFTER, PromptFormat()))
    first_code = int(np.flatnonzero(whole.kinds == Kind.CODE)[0])
    opened = encoder.open_image(int(whole.positions[first_code - 2]) + 1)
    assert (opened.ids[0], opened.positions[0]) == (whole.ids[first_code - 1], whole.positions[first_code - 1])
    closed = encoder.close_image(int(whole.positions[first_code + LAYOUT.write_tokens - 1]) + 1)
    assert closed.ids.tolist() == whole.ids[-2:].tolist()
    assert closed.positions.tolist() == whole.positions[-2:].tolist()


def test_mistakes_are_named():
    step = coded_step(0, "1. A tree.", 0, CRAFTER)
    with pytest.raises(DialogueError, match="fixed phrase"):
        basic_conversation(replace(step, thought="go. Next action: left"), CRAFTER, PromptFormat())
    with pytest.raises(DialogueError, match="rig reason"):
        basic_conversation(replace(step, thought=None), CRAFTER, PromptFormat())
    with pytest.raises(DialogueError, match="tokenize the frames"):
        basic_conversation(step.with_next_codes(None), CRAFTER, PromptFormat())
    with pytest.raises(DialogueError, match="no dreams"):
        lookahead_conversation(step, CRAFTER, PromptFormat())
    short = basic_conversation(step.with_next_codes(np.zeros(3, np.uint16)), CRAFTER, PromptFormat())
    with pytest.raises(DialogueError, match="6"):
        SegmentEncoder(ATOMIC, LAYOUT).encode(short)
    segments = basic_conversation(step, CRAFTER, PromptFormat())
    image = next(place for place, segment in enumerate(segments) if isinstance(segment, ReadImage))
    with pytest.raises(DialogueError, match="not 2 images"):
        parse_conversation([*segments[: image + 1], *segments[image:]], CRAFTER)
    with pytest.raises(DialogueError, match="no end"):
        parse_conversation(segments[:-1], CRAFTER)
    with pytest.raises(RigError, match="too small"):
        train_bpe(CORPUS, vocabulary_size=200)


def test_tokenizer_files(tmp_path):
    ATOMIC.save(tmp_path)
    again = type(ATOMIC).load(tmp_path)
    assert again.encode(prompt.SYSTEM + "x", literal=True) == ATOMIC.encode(prompt.SYSTEM + "x", literal=True)
    with pytest.raises(CheckpointError, match="missing"):
        type(ATOMIC).load(tmp_path / "nowhere")
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        type(ATOMIC).load(tmp_path)


def gapped(tokenizer, step=3):
    """Return the tokenizer with its added tokens apart from the others and from each other, as Janus has some."""
    data = json.loads(tokenizer._literal.to_str())
    for number, token in enumerate(data["added_tokens"]):
        token["id"] = 500 + step * number
        data["model"]["vocab"][token["content"]] = token["id"]
    return type(tokenizer)(Tokenizer.from_str(json.dumps(data)))


def test_ids_may_have_gaps(tmp_path):
    gapped(ATOMIC).save(tmp_path)
    tokenizer = type(ATOMIC).load(tmp_path)
    count = len(ATOMIC._literal.get_added_tokens_decoder())
    assert len(tokenizer) == len(tokenizer.pieces) == 500 + 3 * (count - 1) + 1
    assert tokenizer.bos == tokenizer.eos - 3 == 500
    assert tokenizer.pieces[tokenizer.bos + 1] == b""
    assert tokenizer.bos + 1 not in tokenizer.special_ids
    text = prompt.SYSTEM + "2 left, é×木"
    for literal in (False, True):
        assert tokenizer.decode(tokenizer.encode(text, literal=literal)) == text
    assert len(tokenizer.encode(prompt.SYSTEM, literal=True)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(normalizer={"type": "Lowercase"}), r"the tokenizer turns .* keeps text"),
        (
            lambda data: data.update(
                pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
            ),
            r"the tokenizer turns .* keeps text",
        ),
        (lambda data: data["added_tokens"].pop(5), "no special token <image_placeholder>"),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused(tmp_path, change, message):
    data = json.loads(PLAIN._literal.to_str())
    change(data)
    (tmp_path / "tokenizer.json").write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=message):
        type(PLAIN).load(tmp_path)


def test_frames_are_fitted_where_they_are_read():
    encoder = SegmentEncoder(PLAIN, LAYOUT, lambda frame: frame[:2])
    step = coded_step(0, "1. A tree.", 0, CRAFTER)
    (frame,) = encoder.encode(basic_conversation(step, CRAFTER, PromptFormat())).frames
    assert np.array_equal(frame, step.frame[:2])


def test_terms_are_single_tokens_wherever_they_stand():
    tokenizer = train_bpe(CORPUS, vocabulary_size=400, atoms=ATOMS, terms=[" 2 left", " 2 left and 1 up", " 1 up"])
    text = "Tree 2 left and 1 up, 2 left and 3 up."
    for literal in (False, True):
        ids = tokenizer.encode(text, literal=literal)
        assert tokenizer.decode(ids) == text
        assert [piece for piece in map(tokenizer.pieces.__getitem__, ids) if b"left" in piece] == [
            b" 2 left and 1 up",
            b" 2 left",
        ]
    assert not tokenizer.special_ids & set(tokenizer.encode(text)), "a thought may hold them"
    pieces = {
        tokenizer.pieces[index]: [tokenizer.pieces[part] for part in parts] for index, parts in tokenizer.terms.items()
    }
    assert pieces[b" 2 left and 1 up"] == [b" 2 left", b" 1 up"]
    assert b"".join(pieces[b" 1 up"]) == b" 1 up"
    with pytest.raises(RigError, match="and 3 terms need at least"):
        train_bpe([], vocabulary_size=262, terms=["a b", "c d", "e f"])
