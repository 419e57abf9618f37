"""What no conversation can be made of is found before the first step, left out, counted; and a run never dies of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from makers import agent_training, interrupted_at_a_save

from rig.actions import CRAFTER
from rig.agents.checkpoint import AgentCheckpoint, encoder_of
from rig.data import Dataset, DatasetWriter
from rig.dialogue import PromptFormat, basic_conversation, description_conversation, flaw, lookahead_conversation
from rig.dialogue import refuse_unspeakable as refuse
from rig.dialogue.prompt import LITERALS
from rig.errors import DialogueError, RigError
from rig.records import Review, fake_step
from rig.train import DataPart, train_agent
from rig.train.conversations import Conversations, ConversationSource
from rig.train.packs import pack_length
from rig.train.previews import DreamPreview

DREAMLESS = PromptFormat(dream=False)


def with_last_frame_unknown(trajectory, **changes):
    """Return a recording of T frames for T steps, with changes of its first step."""
    steps = list(trajectory.steps)
    steps[-1] = replace(steps[-1], next_frame=None)
    steps[0] = replace(steps[0], **changes)
    return trajectory.with_steps(tuple(steps))


@pytest.fixture
def others(made, tmp_path):
    """A dataset as others wrote them before any of this was checked: each episode ends without a next frame."""
    source = Dataset(made.data)
    spoilt = [{}, {"thought": "1. Up. Next action: use"}, {"thought": " "}, {"thought": "1234 " * 6000}]
    with DatasetWriter(tmp_path / "others", source.info) as writer:
        for number, trajectory in enumerate(source):
            writer.append(with_last_frame_unknown(trajectory, **spoilt[number % 4]))
    return tmp_path / "others"


def test_a_run_leaves_out_what_it_cannot_learn_before_its_first_step(made, others, tmp_path, capsys):
    config = agent_training(others, made.tokenizers)
    with interrupted_at_a_save():
        train_agent(config, tmp_path / "run")
    recorded = json.loads((tmp_path / "run" / "left_out.json").read_text())
    agent = train_agent(config, tmp_path / "run", resume=True)
    assert "left out of training: conversations" in capsys.readouterr().err
    left_out = recorded["left_out"]
    assert left_out["without a next frame"] >= 3
    assert sum(left_out.values()) == left_out["without a next frame"] + sum(
        left_out.get(f"with {what}", 0) for what in ("a fixed phrase of the prompt in a text", "an empty thought")
    ) + sum(count for reason, count in left_out.items() if reason.startswith("longer than"))
    assert len(left_out) >= 3
    origin = AgentCheckpoint.load(agent).origin
    assert (origin["left_out"], origin["conversations"]) == (left_out, recorded["conversations"])
    assert json.loads((tmp_path / "run" / "left_out.json").read_text()) == recorded
    straight = train_agent(config, tmp_path / "straight")
    assert (straight / "model.safetensors").read_bytes() == (agent / "model.safetensors").read_bytes()


def test_where_nothing_is_left_the_reasons_are_told(made, others, tmp_path):
    none = DatasetWriter(tmp_path / "none", Dataset(others).info)
    with none:
        for trajectory in Dataset(others):
            none.append(trajectory.with_steps(tuple(replace(step, thought=None) for step in trajectory.steps)))
    with pytest.raises(RigError, match=r"nothing to train on.*\(\d+ without a thought\)"):
        train_agent(agent_training(tmp_path / "none", made.tokenizers), tmp_path / "run")
    part = DataPart(data=str(others), style="lookahead")
    with pytest.raises(RigError, match=r"nothing to train on.*\(\d+ without dreams and a review\)"):
        train_agent(agent_training(others, made.tokenizers, parts=(part,)), tmp_path / "run")


def test_a_preview_that_fails_costs_a_line(made, tmp_path, monkeypatch, capsys):
    def fail(self, model, step):
        raise ValueError("cannot draw")

    monkeypatch.setattr(DreamPreview, "__call__", fail)
    config = agent_training(made.data, made.tokenizers)
    agent = train_agent(replace(config, training=replace(config.training, preview_every=2)), tmp_path / "run")
    assert "no preview of step 2 (ValueError: cannot draw); training goes on" in capsys.readouterr().err
    assert AgentCheckpoint.load(agent).origin["totals"]["steps"] == 4


def test_an_interrupted_preview_does_not_take_the_state_with_it(made, tmp_path, monkeypatch):
    def interrupt(self, model, step):
        raise KeyboardInterrupt

    config = agent_training(made.data, made.tokenizers)
    with monkeypatch.context() as patch:
        patch.setattr(DreamPreview, "__call__", interrupt)
        with pytest.raises(KeyboardInterrupt):  # in the preview of the last step
            train_agent(config, tmp_path / "run")

    def drawn_again(self, number):
        raise AssertionError("a step is learned again")

    with monkeypatch.context() as patch:
        patch.setattr("rig.train.loop.Trainer._take_step", drawn_again)
        train_agent(config, tmp_path / "run", resume=True)


def coded(step, count=81):
    codes = np.zeros(count, np.uint16)
    dreams = tuple(replace(dream, codes=codes, real_codes=codes) for dream in step.dreams)
    return replace(step.with_next_codes(codes), dreams=dreams)


TAKEN = coded(fake_step(1, num_dreams=2))
BAD = {
    "without a thought": {"thought": None, "review": Review(thought=None, action=TAKEN.action)},
    "with an empty thought": {"thought": "\n", "review": Review(thought="", action=TAKEN.action)},
    "without a next frame": {},
}


def spoilt_by(change):
    """TAKEN with a change; where there is none, without the codes of its next frame."""
    return replace(TAKEN, **change) if change else TAKEN.with_next_codes(None)


@pytest.mark.parametrize("style", ["basic", "lookahead", "describe"])
def test_a_flaw_is_what_rendering_would_raise_for(style):
    render = {
        "basic": lambda step: basic_conversation(step, CRAFTER, PromptFormat()),
        "lookahead": lambda step: lookahead_conversation(step, CRAFTER, PromptFormat()),
        "describe": lambda step: description_conversation(step, PromptFormat()),
    }[style]
    changes = [{"instruction": f"x {phrase} y"} for phrase in LITERALS]
    changes += [{"thought": f"x{phrase}y", "review": replace(TAKEN.review, thought=phrase)} for phrase in LITERALS]
    changes += [{}, {"thought": None, "review": replace(TAKEN.review, thought=None)}]
    for name in ("thought", "codes"):
        spoilt = tuple(replace(dream, **{name: None, "real_codes": None}) for dream in TAKEN.dreams)
        changes.append({"dreams": spoilt})
    found = []
    for change in changes:
        step = spoilt_by(change)
        found.append(flaw(step, style, PromptFormat()))
        if found[-1] is None:
            render(step)
        else:
            with pytest.raises(DialogueError):
                render(step)
    assert flaw(TAKEN, style, PromptFormat()) is None
    assert None in found or style == "lookahead"
    assert "with a fixed phrase of the prompt in a text" in found


def test_flaws_have_names():
    for name, change in BAD.items():
        assert flaw(spoilt_by(change), "basic", PromptFormat()) == name
        assert flaw(spoilt_by(change), "lookahead", PromptFormat()) == name
    assert flaw(TAKEN.with_next_codes(None), "basic", DREAMLESS) is None
    assert flaw(replace(TAKEN, thought=None), "basic", PromptFormat(thought=False)) is None
    assert flaw(replace(TAKEN, dreams=()), "lookahead", PromptFormat()) == "without dreams and a review"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"thought": "1. Up. Next action: use"},
            "the thought '1. Up. Next action: use' holds .* 'Next action:'",
        ),
        ({"instruction": "collect Wait! Let's re-observe... wood"}, "the instruction .* holds the fixed phrase"),
        ({"thought": ""}, "the thought is empty; leave it out"),
        ({"review": Review(thought="human: no", action=TAKEN.action)}, "the thought of the review .* 'human:'"),
        ({"dreams": (replace(TAKEN.dreams[0], thought="rig <Imagine:>"),)}, "the thought of a dream .* '<Imagine:>'"),
    ],
)
def test_a_text_that_no_conversation_can_hold_is_named(change, message):
    refuse(TAKEN)
    with pytest.raises(DialogueError, match=message):
        refuse(replace(TAKEN, **change))


def test_lengths_are_those_of_the_tokens_and_long_ones_are_left_out(made):
    checkpoint = AgentCheckpoint.load(made.agent)
    encoder = encoder_of(checkpoint.tokenizer, checkpoint.model.config)
    steps = [coded(fake_step(seed, num_dreams=2, size=144), encoder.layout.write_tokens) for seed in range(9)]
    for step in steps[:2]:
        for segments in (
            basic_conversation(step, CRAFTER, PromptFormat()),
            lookahead_conversation(step, CRAFTER, PromptFormat()),
            description_conversation(step, PromptFormat()),
        ):
            assert encoder.length(segments) == len(encoder.encode(segments))
    steps[4] = replace(steps[4], thought="1234 " * 6000)
    drawn = Conversations([ConversationSource(steps=steps, prompt_format=PromptFormat())], encoder, CRAFTER, seed=0)
    length = pack_length(drawn, agent_training(made.data, made.tokenizers).training)
    assert length < 4 * 2000
    assert drawn.left_out == {"longer than a pack of 16384 tokens": 1}
    assert all(step is not steps[4] for step in drawn.sources[0].steps)
    assert len(drawn) == 8
    drawn.leave_out_longer(length)
    with pytest.raises(RigError, match=r"nothing to train on.*8 longer than a pack of 9 tokens"):
        drawn.leave_out_longer(9)
