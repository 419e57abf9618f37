"""An engine that takes over what its network has learned decides as a new one, in memory and passes that it had."""

import torch
from engine_makers import CONFIG, ENCODER, WARM, conversation, make_engine, prefix, thought
from test_engine_graphs import recorded  # noqa: F401

from rig.engine import Engine, GenerateImage, GenerateText, Prefill
from rig.model import RIG
from rig.model.parts import add_lora, merged


def learn(model, seed=5):
    """Move every weight, as an optimiser does: in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.trainable_parameters().values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def talk(slot):
    """Read a story, say something, and draw."""
    yield Prefill(tokens=prefix(conversation(0)))
    said = yield GenerateText(constraint=thought(8), sampler=WARM)
    yield Prefill(tokens=ENCODER.open_image(slot.next_position))
    drawn = yield GenerateImage(sampler=WARM)
    return said.ids, drawn.codes.tolist()


def held(stream, seed=3):
    stream.submit(seed, talk)
    return stream.next().value


def test_after_a_refresh_an_engine_decides_as_a_new_one():
    engine = make_engine()
    stream = engine.stream(1)
    before = held(stream)
    learn(engine.model.train())
    new = held(Engine(engine.model, capacity=480).stream(1))
    assert new != before
    engine.model.train()
    engine.refresh()
    assert not engine.model.training
    assert held(stream) == held(engine.stream(1)) == new, "a stream that was there, too"
    assert held(stream) == new


def test_a_packed_copy_stays_where_it_is():
    engine = make_engine()
    places = [weight.data_ptr() for layer in engine._decoder.layers for weight in vars(layer).values()]
    learn(engine.model)
    engine.refresh()
    new = Engine(engine.model, capacity=480)
    for layer, other in zip(engine._decoder.layers, new._decoder.layers, strict=True):
        for name, weight in vars(layer).items():
            assert torch.equal(weight, getattr(other, name)), name
            assert weight.stride() == getattr(other, name).stride()
    assert places == [weight.data_ptr() for layer in engine._decoder.layers for weight in vars(layer).values()]


def test_recorded_passes_read_what_was_learned(recorded):  # noqa: F811
    engine = make_engine()
    stream = engine.stream(1)
    before = held(stream)
    counts = list(recorded)
    assert counts, "passes are recorded"
    learn(engine.model)
    engine.refresh()
    after = held(stream)
    assert recorded == counts, "and none anew"
    assert after == held(Engine(engine.model, capacity=480).stream(1)) != before


def test_what_low_ranks_learn_is_played():
    """A network in the middle of learning by LoRA decides as the merged one."""
    learning, played = RIG(CONFIG, seed=0), RIG(CONFIG, seed=0)
    add_lora(learning, ("decoder",), rank=3, seed=1)
    learned = learn(learning)
    played.load_state_dict(merged(learned.state_dict()))
    said, wanted = (held(Engine(one, capacity=480).stream(1)) for one in (learned, played))
    assert said == wanted != held(Engine(RIG(CONFIG, seed=0), capacity=480).stream(1))
