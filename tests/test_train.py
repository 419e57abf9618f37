"""Training: whole-sample packs, one loss however it is packed, exact resume, mistakes named and nothing lost."""

import errno
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from makers import QUICK, agent_training, interrupted_at_a_save

from rig.actions import NOOP, Action
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators import LABELLERS
from rig.annotators.crafter_patches import CrafterLabeller
from rig.data import CodesCache, Dataset
from rig.dialogue import PromptFormat, Role, SegmentEncoder
from rig.envs.crafter.cells import CrafterCells
from rig.errors import CheckpointError, RigError
from rig.model import PRESETS, RIG, pack
from rig.records import NOISE, TEACHER
from rig.stages import ReasonConfig, reason
from rig.train import DataPart, RoleWeights, Tokenizers, TrainingConfig, VisionTraining, train_agent, train_vision
from rig.train.agent import _Watch
from rig.train.collages import Collages
from rig.train.conversations import Conversations, ConversationSource
from rig.train.loop import Trainer
from rig.train.loss import ROLES, means, token_losses, weight_of
from rig.train.mixture import without_repeats
from rig.train.optimise import OptimiserConfig, learning_rate
from rig.train.packs import ConversationPacks, Packer, lanes_of_a_step, pack_length
from rig.train.runs import Run
from rig.train.state import State
from rig.train.tokenizer import distinct_pictures, spherical_kmeans
from rig.train.tokenizers import encode_frames
from rig.train.vision import load_vision


@pytest.fixture(scope="module")
def steps(made):
    tokenizers = Tokenizers.load(made.tokenizers)
    dataset = Dataset(made.data)
    cache = CodesCache(dataset, tokenizers.hash)
    cache.fill(lambda frames: encode_frames(tokenizers.vq, frames), progress=False)
    return list(dataset.with_codes(cache).steps())


@pytest.fixture(scope="module")
def agent(made):
    return AgentCheckpoint.load(made.agent)


def conversations(agent, steps, *, seed=0, prompt_format=None, **shares):
    source = ConversationSource(steps=steps, style="basic", prompt_format=prompt_format or PromptFormat(), **shares)
    return Conversations([source], agent.encoder, agent.space, seed)


def test_packed_loss_equals_unpacked_loss(agent, steps):
    """The same conversations in one pack, one by one, and in padded packs: the same sums, role by role."""
    drawn = conversations(agent, steps)
    sequences = [drawn.draw(number) for number in range(6)]
    weights = RoleWeights(thought=0.5, action=2.0, image=1.0)
    model = agent.model.eval()

    def totals(batches):
        losses = [token_losses(model, batch, weights) for batch in batches]
        weight = sum(weight_of(batch, weights) for batch in batches)
        return sum(entry.loss for entry in losses), weight, sum(entry.sums for entry in losses)

    with torch.no_grad():
        alone = totals([pack([sequence]) for sequence in sequences])
        together = totals([pack(sequences)])
        padded = totals([pack(sequences[:2], length=700), pack(sequences[2:], length=1300)])
    for other in (together, padded):
        torch.testing.assert_close(other[0], alone[0], rtol=1e-5, atol=1e-3)
        assert other[1] == alone[1] > 0
        torch.testing.assert_close(other[2], alone[2], rtol=1e-5, atol=1e-3)
    assert set(means(alone[2])) == {f"{role}_{what}" for role in ROLES for what in ("loss", "right")}


def test_packs_hold_whole_conversations_of_one_constant_length(agent, steps):
    length = pack_length(conversations(agent, steps), TrainingConfig(batch_size=4))
    packer, again = (Packer(conversations(agent, steps), length) for _ in range(2))
    lengths, held = set(), 0
    for _ in range(6):
        batch, count = packer.next_pack()
        lengths.add(len(batch))
        held += count
        assert int(batch.ids.eq(agent.tokenizer.bos).sum()) == count
    assert lengths == {length}
    assert packer.drawn == held
    again.skip_to(held)
    assert torch.equal(again.next_pack()[0].ids, packer.next_pack()[0].ids)


def test_a_step_is_made_of_lanes_that_share_out_the_conversations(agent, steps):
    """Three lanes together draw what one does; their number follows from the tokens of a step."""
    drawn = conversations(agent, steps)
    one = Packer(drawn, 1024)
    streams = [Packer(drawn, 1024, stream=stream, streams=3) for stream in range(3)]
    for packer in (one, *streams):
        packer.next_pack()
    first = [drawn.draw(number).ids for number in range(3)]
    for packer, ids in zip((one, *streams), (first[0], *first), strict=True):
        packer.skip_to(0)
        assert packer.next_pack()[0].ids[: len(ids)].tolist() == ids.tolist()
    second = streams[1].drawn
    assert (
        streams[1].next_pack()[0].ids[: len(drawn.draw(3 * second + 1))].tolist()
        == drawn.draw(3 * second + 1).ids.tolist()
    )
    for tokens, packs in ((0, 1), (700, 1), (1024, 1), (1800, 2), (4096, 4)):
        assert lanes_of_a_step(1024, TrainingConfig(step_tokens=tokens)) == packs


def test_a_packs_length_can_be_given(agent, steps):
    drawn = conversations(agent, steps)
    assert pack_length(drawn, TrainingConfig(pack_tokens=777)) == 777
    with pytest.raises(RigError, match=rf"nothing to train on.*\({len(drawn)} longer than a pack of 100 tokens\)"):
        pack_length(drawn, TrainingConfig(pack_tokens=100))
    with pytest.raises(RigError, match="step_tokens=-1"):
        TrainingConfig(step_tokens=-1)


def test_a_step_of_several_packs_is_a_step_of_one_large_pack(agent, steps, tmp_path):
    """The mean runs over all tokens of the step, whatever pack they are in."""
    drawn = conversations(agent, steps)
    sequences = [drawn.draw(number) for number in range(6)]
    weights = RoleWeights(action=2.0)
    gradients = []
    for parts in ([sequences], [sequences[:1], sequences[1:]]):
        model = RIG(agent.model.config, seed=0).train()
        fed = iter([pack(part) for part in parts])
        config = TrainingConfig(steps=1, pack_tokens=2048, step_tokens=2048 * len(parts), weights=weights, log_every=1)
        with Run(tmp_path / str(len(parts)), config) as run:
            packs = ConversationPacks(drawn, config)
            trainer = Trainer(model, packs, replace(config, compile=False, save_every=1), run)
            for packer in packs.packers:
                packer.next_pack = lambda fed=fed: (next(fed), 1)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("rig.train.loop.take_step", lambda *_: torch.tensor(1.0))
                patch.setattr("rig.train.loop.compute_dtype", lambda _: torch.float32)
                trainer.fit()
        gradients.append({name: value.grad for name, value in model.trainable_parameters().items()})
        (line,) = metrics_of(tmp_path / str(len(parts)))
        gradients[-1] |= {
            name: torch.tensor(value) for name, value in line.items() if name.endswith(("_loss", "_right"))
        }
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_every_conversation_comes_once_an_epoch(agent, steps):
    some = steps[:10]
    drawn = conversations(agent, some, prompt_format=PromptFormat(thought=False))
    frames = [drawn.draw(number).frames[0].tobytes() for number in range(20)]
    assert sorted(frames[:10]) == sorted(frames[10:]) == sorted(step.frame.tobytes() for step in some)
    assert frames[:10] != frames[10:]
    assert [drawn.draw(number).frames[0].tobytes() for number in range(20)] == frames


def test_shares_are_kept(agent, steps):
    sources = [
        ConversationSource(steps=steps[:5], style="basic", prompt_format=PromptFormat(thought=False), share=3),
        ConversationSource(steps=steps[5:], style="basic", prompt_format=PromptFormat(dream=False), share=1),
    ]
    drawn = Conversations(sources, agent.encoder, agent.space, seed=0)
    dreams = [bool((drawn.draw(number).roles == Role.IMAGE).any()) for number in range(200)]
    assert sum(dreams) == 150


def test_a_share_of_the_steps_that_repeat_the_one_before_is_left_out(steps):
    again = [replace(step, previous_action=step.action) for step in steps[:1] * 400]
    other = [replace(step, previous_action=NOOP, action=Action.press("move_left")) for step in steps[:1] * 20]
    kept = without_repeats([*again, *other], 0.25, seed=0)
    assert [step.action for step in kept[-20:]] == [step.action for step in other]
    assert 80 < len(kept) - 20 < 120
    assert without_repeats([*again, *other], 0, seed=0) == other
    assert without_repeats(again, 1, seed=0) == again
    with pytest.raises(RigError, match=r"repeats=1\.5"):
        DataPart(data="s2", repeats=1.5)


def test_noise_is_left_out_where_nothing_is_dreamed(agent, steps):
    noisy = [replace(step, actor=NOISE) for step in steps]
    with pytest.raises(RigError, match="nothing to train on"):
        conversations(agent, noisy, prompt_format=PromptFormat(dream=False))
    assert len(conversations(agent, noisy)) == len([step for step in noisy if step.thought is not None])


def test_held_out_noise_is_no_hindrance_where_nothing_is_dreamed(made, agent, steps, tmp_path):
    """A training whose held-out steps are all of noise used to end before it began."""
    config = agent_training(made.data, made.tokenizers, prompt_format=PromptFormat(dream=False))
    taught = next(step for step in steps if step.actor == TEACHER and step.thought)
    noisy = [replace(taught, actor=NOISE)] * 3
    for kept, watched in ((noisy, False), ([*noisy, taught], True)):
        watch = _Watch(tmp_path, {"basic": kept}, agent.encoder, agent.space, config)
        assert ("held_out/action_loss" in watch(agent.model, 1)) == watched


def state_of(folder):
    """Return the tensors of a run's last state, read without a trainer."""
    path = State(folder).last
    contents = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
    tensors = {name: torch.empty(entry.size, dtype=entry.properties.dtype) for name, entry in contents.items()}
    assert State(folder).load(tensors)
    return tensors


def weights_of(folder):
    return {name: value for name, value in state_of(folder).items() if not name.startswith("seconds")}


def metrics_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in ("tokens_per_second", "mfu")} for line in lines]


def test_a_run_that_was_cut_goes_on_bit_by_bit(made, tmp_path):
    config = agent_training(made.data, made.tokenizers, training=replace(QUICK, steps=6))
    train_agent(config, tmp_path / "whole")
    with interrupted_at_a_save(4):
        train_agent(config, tmp_path / "cut")
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 5, "thought_loss": 0.0}) + "\n")
    train_agent(config, tmp_path / "cut", resume=True)
    whole, cut = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert metrics_of(tmp_path / "whole") == metrics_of(tmp_path / "cut")


def test_training_learns(made, tmp_path):
    fast = OptimiserConfig(learning_rate=3e-3, warmup=5)
    training = replace(QUICK, steps=40, batch_size=8, log_every=10, save_every=10, optimiser=fast)
    folder = train_agent(agent_training(made.data, made.tokenizers, training=training), tmp_path / "run").parent
    losses = [line["thought_loss"] for line in metrics_of(folder) if "thought_loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert all(0 < line["mfu"] < 1 for line in lines if "rate" in line)
    held_out = [line for line in metrics_of(folder) if "held_out/image_loss" in line]
    assert held_out
    assert sorted(path.name for path in (folder / "previews").iterdir())[-1] == "step-000040.png"


def test_the_frozen_tokenizer_stays_as_it_was(made):
    agent, tokenizers = AgentCheckpoint.load(made.agent), Tokenizers.load(made.tokenizers)
    ours = agent.model.model.vqmodel.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in tokenizers.vq.state_dict().items())


def test_bundles_come_back_whole_and_say_what_is_wrong(made, tmp_path):
    shutil.copytree(made.agent, tmp_path / "agent")
    again = AgentCheckpoint.load(tmp_path / "agent")
    assert again.space.name == "crafter"
    assert again.origin["data"][0]["stage"] == "s2"
    text = (tmp_path / "agent" / "agent.json").read_text()
    (tmp_path / "agent" / "agent.json").write_text(text[:40])
    with pytest.raises(CheckpointError, match="JSON"):
        AgentCheckpoint.load(tmp_path / "agent")
    (tmp_path / "agent" / "agent.json").unlink()
    with pytest.raises(CheckpointError, match="rig train"):
        AgentCheckpoint.load(tmp_path / "agent")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "smal"}, "Did you mean 'small'"),
        ({"parts": (DataPart(data="nowhere"),)}, "nowhere"),
        ({"tokenizers": "nowhere"}, "nowhere"),
        ({"start": "nowhere"}, "nowhere"),
    ],
)
def test_wrong_names_are_named(made, tmp_path, changes, message):
    with pytest.raises(RigError, match=message):
        train_agent(replace(agent_training(made.data, made.tokenizers), **changes), tmp_path / "run")


def test_a_run_is_never_overwritten_or_continued_differently(made, tmp_path):
    config = agent_training(made.data, made.tokenizers)
    train_agent(config, tmp_path / "run")
    before = (tmp_path / "run" / "agent" / "model.safetensors").read_bytes()
    with pytest.raises(RigError, match="--resume"):
        train_agent(config, tmp_path / "run")
    other = replace(config, training=replace(QUICK, batch_size=5))
    with pytest.raises(RigError, match="batch_size"):
        train_agent(other, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "agent" / "model.safetensors").read_bytes() == before


def test_a_checkpoint_of_another_shape_is_refused(made, tmp_path):
    shutil.copytree(made.agent, tmp_path / "agent")
    path = tmp_path / "agent" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["hidden_size"] *= 2
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="shape"):
        AgentCheckpoint.load(tmp_path / "agent")


def test_a_full_disk_leaves_the_last_state(made, tmp_path, monkeypatch):
    config = agent_training(made.data, made.tokenizers)
    original = dcp.FileSystemWriter.write_data

    def full(self, *arguments):
        if "step-000004" in str(self.path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, *arguments)

    monkeypatch.setattr(dcp.FileSystemWriter, "write_data", full)
    with pytest.raises(RigError, match=r"no space left to write .*state/step-000004: "):
        train_agent(config, tmp_path / "run")
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "run" / "state").iterdir()] == ["step-000002"]
    train_agent(config, tmp_path / "run", resume=True)
    assert state_of(tmp_path / "run")["step"] == 4


def test_a_state_may_change_as_soon_as_it_is_being_saved(tmp_path, monkeypatch):
    """What is written is what was there at the call, however long the disk takes."""
    original, let_go = dcp.FileSystemWriter.write_data, threading.Event()

    def late(self, *arguments):
        assert let_go.wait(20)
        return original(self, *arguments)

    monkeypatch.setattr(dcp.FileSystemWriter, "write_data", late)
    state = State(tmp_path)
    value, step = torch.zeros(5), torch.tensor(2)
    state.save({"value": value, "step": step})
    assert state.last is None
    value.add_(1)
    step.add_(1)
    let_go.set()
    state.close()
    assert state.last.name == "step-000002"
    assert torch.equal(state_of(tmp_path)["value"], torch.zeros(5))
    assert state_of(tmp_path)["step"] == 2


def test_a_process_killed_while_it_saves_leaves_the_last_state(tmp_path):
    script = f"""
import os, pathlib, torch
import torch.distributed.checkpoint as dcp
from rig.train.state import State
state = State(pathlib.Path({str(tmp_path)!r}))
state.save({{"value": torch.ones(1000), "step": torch.tensor(2)}})
state.finish()
dcp.FileSystemWriter.finish = lambda *_, **__: os._exit(9)
state.save({{"value": torch.zeros(1000), "step": torch.tensor(4)}})
state.finish()
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"step-000002", ".step-000004.tmp"}
    assert torch.equal(state_of(tmp_path)["value"], torch.ones(1000))
    with Run(tmp_path, {}, resume=True):
        assert [path.name for path in (tmp_path / "state").iterdir()] == ["step-000002"]


def test_schedule_and_configuration():
    config = OptimiserConfig(learning_rate=1.0, warmup=10, final_fraction=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) <= 1.0
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    with pytest.raises(RigError, match="multiple of log_every"):
        TrainingConfig(save_every=10, log_every=3)


def test_collages_hold_every_distinct_cell_evenly():
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    frames[0, :16, :16] = 7
    frames[2, 16:, 16:] = 9
    collages = Collages(frames, 16)
    assert {int(cell.max()) for cell in collages.cells} == {0, 7, 9}
    drawn = collages.draw(300, np.random.default_rng(0))
    assert drawn.shape == (300, 32, 32, 3)
    shares = [float((drawn[:, ::16, ::16, 0] == value).mean()) for value in (0, 7, 9)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.06)


def test_clusters_find_the_groups():
    random = torch.Generator().manual_seed(0)
    centres = torch.nn.functional.normalize(torch.randn(8, 16, generator=random), dim=-1)
    points = centres.repeat_interleave(50, 0) + 0.05 * torch.randn(400, 16, generator=random)
    found = spherical_kmeans(torch.nn.functional.normalize(points, dim=-1), 8, seed=0)
    assert (found @ centres.T).max(0).values.min() > 0.98


def test_encoders_agree_on_what_an_agent_reads(agent, steps):
    assert isinstance(agent.encoder, SegmentEncoder)
    assert agent.encoder.layout.write_tokens == len(steps[0].next_codes) == 81


VISION = VisionTraining(model=PRESETS.get("debug").vision, steps=12, batch_size=4, log_every=2, save_every=6)


class Moving(CrafterLabeller):
    """Says of Crafter's labels that they hold wherever a thing is, but for the items below the map."""

    display = tuple(range(63, 81))


def train_eyes(made, folder, config=VISION, **options):
    """Train a debug tower on the shared data."""
    labeller = Moving() if config.augment else LABELLERS.get("crafter")()
    return train_vision(Dataset(made.data), labeller, config, folder, **options)


def test_a_tower_learns_what_patches_show_and_an_agent_begins_with_it(made, tmp_path):
    scores = train_eyes(made, tmp_path / "vision")
    losses = [line["loss"] for line in Run(tmp_path / "vision", VISION, resume=True).metrics() if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    assert 0.3 < scores["accuracy"] <= 1
    assert 0 < scores["balanced_accuracy"] < scores["accuracy"]
    about = json.loads((tmp_path / "vision" / "vision.json").read_text())
    assert {"me left", "grass", "tree 0", "health 9", "empty"} <= set(about["labels"])
    agent = train_agent(
        agent_training(
            made.data, made.tokenizers, vision=str(tmp_path / "vision"), training=replace(QUICK, steps=1, save_every=2)
        ),
        tmp_path / "agent",
    )
    fresh = RIG(PRESETS.get("debug"), seed=0).model.vision_model.state_dict()
    tower = load_vision(tmp_path / "vision", VISION.model)
    for name, value in AgentCheckpoint.load(agent).model.model.vision_model.state_dict().items():
        assert torch.allclose(value, tower[name], atol=2e-3), "one step away from the tower"
        assert value.ndim < 2 or not torch.allclose(value, fresh[name], atol=2e-3)


@pytest.mark.parametrize("config", [VISION, replace(VISION, augment=True)])
def test_a_tower_whose_training_was_cut_is_the_same_in_the_end(made, tmp_path, config):
    train_eyes(made, tmp_path / "whole", config)
    with interrupted_at_a_save():
        train_eyes(made, tmp_path / "cut", config)
    train_eyes(made, tmp_path / "cut", config, resume=True)
    for name in ("vision.safetensors", "vision.json", "scores.json", "metrics.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    lines = Run(tmp_path / "cut", config, resume=True).metrics()
    assert all(0 <= line["accuracy"] <= 1 for line in lines if "accuracy" in line)


def test_a_tower_that_does_not_fit_is_named(made, tmp_path):
    with pytest.raises(CheckpointError, match=r"nowhere.* make a whole vision tower"):
        train_agent(agent_training(made.data, made.tokenizers, vision=str(tmp_path / "nowhere")), tmp_path / "a")
    train_eyes(made, tmp_path / "vision")
    with pytest.raises(CheckpointError, match=r"holds a tower of .*hidden_size=32.* where this preset has"):
        load_vision(tmp_path / "vision", PRESETS.get("small").vision)
    both = agent_training(made.data, made.tokenizers, vision=str(tmp_path / "vision"), start=str(made.agent))
    with pytest.raises(RigError, match="give --start or --vision, not both"):
        train_agent(both, tmp_path / "b")
    two = SimpleNamespace(name="two", label=lambda steps: [["sky", "earth"] for _ in steps])
    with pytest.raises(RigError, match="names 2 patches where this preset reads 81"):
        train_vision(Dataset(made.data), two, VISION, tmp_path / "c")
    turned = replace(VISION, augment=True)
    with pytest.raises(RigError, match=r"labels of crafter-patches-1 hold for a frame as it is.* without --augment"):
        train_vision(Dataset(made.data), LABELLERS.get("crafter")(), turned, tmp_path / "c")
    big = replace(VISION, model=PRESETS.get("janus-1b").vision)
    with pytest.raises(RigError, match=r"frames of \(144, 144\) where this preset reads 384"):
        train_vision(Dataset(made.data), LABELLERS.get("crafter")(), big, tmp_path / "d")


def test_labels_say_what_patches_show(made):
    """Labels agree with the cell reader, which reads pixels; ranks are those of distance."""
    steps = list(Dataset(made.data).steps())[::7]
    reader = CrafterCells()
    read = reader.read([step.frame for step in steps], [step.privileged for step in steps])
    for labels, cells in zip(LABELLERS.get("crafter")().label(steps), read, strict=True):
        grid = np.array(labels, dtype=object).reshape(9, 9)
        assert grid[3, 4].startswith("me ")
        assert [name for name in labels if name.startswith("me ")] == [grid[3, 4]]
        counts = [0 if label == "empty" else int(label.split()[1]) for label in labels[63:]]
        assert counts == cells[7:].flatten().tolist()
        trees = sorted(
            (abs(x - 4) + abs(y - 3), grid[y, x]) for y in range(7) for x in range(9) if "tree" in grid[y, x]
        )
        assert [name for _, name in trees][:4] == [f"tree {rank}" for rank in range(min(4, len(trees)))]


def test_a_base_learns_to_describe_and_another_agent_starts_from_it(made, tmp_path):
    described = reason(made.root / "s1", ReasonConfig(reasoner="crafter-views"), tmp_path / "views")
    thoughts = [step.thought for trajectory in described for step in trajectory.steps]
    assert all(thought and " 1. " in thought for thought in thoughts), "every frame, noise too, is described"
    parts = (DataPart(data=str(tmp_path / "views"), style="describe"),)
    config = agent_training(made.data, made.tokenizers, parts=parts, prompt_format=PromptFormat(dream=False))
    base = train_agent(config, tmp_path / "base")
    metrics = [json.loads(line) for line in (tmp_path / "base" / "metrics.jsonl").read_text().splitlines()]
    assert any("held_out/thought_loss" in line for line in metrics)
    assert not any("image_loss" in line for line in metrics)
    started = agent_training(made.data, made.tokenizers, start=str(base))
    assert AgentCheckpoint.load(train_agent(started, tmp_path / "agent")).prompt_format == PromptFormat()


def test_nothing_to_train_on_is_named(made, tmp_path):
    with pytest.raises(RigError, match="nothing to train on"):
        train_agent(agent_training(made.data, made.tokenizers, parts=()), tmp_path / "nothing")


def test_a_codebook_is_placed_on_pictures_that_differ_in_any_pixel():
    """Grass under a hundred lights is less different than two digits."""
    grass = np.stack([np.full((16, 16, 3), 80 + light, np.uint8) for light in range(100)])
    digits = grass[50] + np.zeros((9, 1, 1, 1), np.uint8)
    for number, digit in enumerate(digits):
        digit[4:6, 2 * number - 2 : 2 * number] = 255
    chosen = distinct_pictures(np.concatenate([grass, digits]), 12)
    assert set(range(101, 109)) <= set(chosen.tolist())
