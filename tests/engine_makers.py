"""A small engine for tests, conversations for it, and what its logits should be."""

from dataclasses import replace

import numpy as np
import torch

from rig.actions import CRAFTER
from rig.dialogue import Kind, PromptFormat, SegmentEncoder, TokenSequence, lookahead_conversation, prompt, train_bpe
from rig.engine import Engine, Sampler, ThoughtConstraint
from rig.model import RIG, DecoderConfig, RIGConfig, VisionConfig, VQConfig
from rig.records import fake_step

TOKENIZER = train_bpe([], vocabulary_size=310, atoms=prompt.LITERALS)
CONFIG = RIGConfig(
    decoder=DecoderConfig(
        vocab_size=len(TOKENIZER) + 3,
        hidden_size=32,
        num_layers=3,
        num_heads=4,
        num_kv_heads=2,
        head_dim=8,
        intermediate_size=48,
    ),
    vision=VisionConfig(image_size=32, hidden_size=16, num_layers=1, num_heads=2),
    vq=VQConfig(
        image_size=32,
        codebook_size=40,
        latent_channels=8,
        base_channels=32,
        channel_multiplier=(1,),
        num_res_blocks=1,
        space_to_depth=8,
    ),
    image_alignment=64,
)
ENCODER = SegmentEncoder(TOKENIZER, CONFIG.layout)
STOP = TOKENIZER.encode(prompt.NEXT_ACTION, literal=True)
WARM = Sampler(temperature=1.3)


def make_engine():
    """Return an engine over weights large enough that what stands in the context shows in the logits."""
    model = RIG(CONFIG, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
    return Engine(model, capacity=480)


def conversation(seed, dreams=1):
    """Text, read images and written images, with gaps between their positions."""
    random = np.random.default_rng(seed)

    def codes():
        return random.integers(0, 40, 16).astype(np.uint16)

    step = fake_step(seed, size=32, num_dreams=dreams)
    dreamed = tuple(replace(dream, codes=codes()) for dream in step.dreams)
    thought = "1. Go." * int(random.integers(1, 4))
    step = step.with_next_codes(codes())
    step = replace(step, dreams=dreamed, review=replace(step.review, thought=thought))
    return ENCODER.encode(lookahead_conversation(step, CRAFTER, PromptFormat()))


def part(tokens, start, stop):
    """The tokens of a sequence from `start` to `stop`, with the frames whose images lie there."""
    opens = np.flatnonzero(tokens.kinds == Kind.READ)[:: CONFIG.vision.num_tokens]
    frames = [frame for at, frame in zip(opens, tokens.frames, strict=True) if start <= at < stop]
    fields = {name: getattr(tokens, name)[start:stop] for name in ("ids", "kinds", "roles", "weights", "positions")}
    return TokenSequence(**fields, frames=tuple(frames))


def close(found, expected):
    """Assert that logits are the same but for rounding."""
    assert expected.std() > 0.1, "logits this flat would hide a difference"
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)


def thought(max_tokens):
    """A constraint to ordinary text of so many tokens."""
    return ThoughtConstraint(TOKENIZER, STOP, max_tokens)


def prefix(tokens):
    """A conversation without its end."""
    return part(tokens, 0, len(tokens) - 40)


def text_sequence(ids, start):
    """Plain text from a position on."""
    return sequence_of(ids, Kind.TEXT, start)


def sequence_of(ids, kind, start):
    """Tokens of one kind from a position on."""
    length = len(ids)
    return TokenSequence(
        ids=np.asarray(ids, np.int32),
        kinds=np.full(length, kind, np.uint8),
        roles=np.zeros(length, np.uint8),
        weights=np.zeros(length, np.float32),
        positions=np.arange(start, start + length, dtype=np.int32),
        frames=(),
    )


def joined(*sequences):
    """One sequence of several."""
    names = ("ids", "kinds", "roles", "weights", "positions")
    fields = {name: np.concatenate([getattr(sequence, name) for sequence in sequences]) for name in names}
    return TokenSequence(**fields, frames=tuple(frame for sequence in sequences for frame in sequence.frames))


def opened(number):
    """A conversation up to where an image is to be written."""
    tokens = prefix(conversation(number))
    return joined(tokens, ENCODER.open_image(tokens.next_position))
