"""What breaks is named with its place and its fix, takes nothing else with it, and can be gone on from once mended."""

import errno
import json
import os
import pickle
import shutil
import subprocess
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.distributed.checkpoint as dcp
from makers import TASKS, agent_training, interrupted_at_a_save
from safetensors.torch import load_file, save_file
from test_data_dataset import alter_rows
from test_data_roundtrip import write
from test_train import metrics_of, state_of
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING

from rig.actions import Action
from rig.agents.checkpoint import AgentCheckpoint, read_agent
from rig.cli.main import main
from rig.data import CodesCache, Dataset, DatasetWriter, load_frames
from rig.dialogue import train_bpe
from rig.envs import Split, make_world
from rig.errors import ActionError, CheckpointError, DatasetError, RigError, UnknownNameError
from rig.model import PRESETS, RIG, VQModel, save
from rig.stages import (
    AlignConfig,
    CollectConfig,
    LookaheadConfig,
    Opening,
    ReasonConfig,
    align,
    collect,
    reason,
    review,
)
from rig.storage import atomic_file
from rig.train import Tokenizers, TokenizerTraining, train_agent, train_tokenizers
from rig.train.runs import Run
from rig.train.state import _check_metadata
from rig.train.tokenizers import encode_frames, text_atoms

SHARD_STEPS = 20
COLLECT = CollectConfig(tasks=TASKS, episodes=4)


def cut(path, end=-40):
    path.write_bytes(path.read_bytes()[:end])


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def taught(made, tmp_path):
    """The collected dataset in several shards."""
    dataset = Dataset(made.root / "s1")
    return write(tmp_path / "s1", dataset, dataset.info, shard_steps=SHARD_STEPS)


@pytest.fixture
def agent(made, tmp_path):
    """A copy of the agent, to be broken."""
    return shutil.copytree(made.agent, tmp_path / "agent")


@pytest.fixture
def tokenizers(made, tmp_path):
    """A copy of the tokenizers, to be broken."""
    return shutil.copytree(made.tokenizers, tmp_path / "tokenizers")


@pytest.fixture
def disk(tmp_path):
    """A disk of its own: called with a size, it has that size from then on."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def resize(size):
        nonlocal mounted
        options = f"remount,size={size}" if mounted else f"size={size}"
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this user may not mount a small disk")
        mounted = True
        return folder

    yield resize
    if mounted:
        subprocess.run(["umount", "-l", folder], check=True)


# Datasets


@pytest.mark.parametrize("name", ["steps-00001.parquet", "frames-00001.parquet", "manifest.json"])
@pytest.mark.parametrize("harm", [cut, os.remove], ids=["cut", "missing"])
def test_a_stage_names_the_broken_file_of_its_source_and_begins_nothing(taught, tmp_path, name, harm):
    file = next(taught.rglob(name))
    good = file.read_bytes()
    harm(file)
    with pytest.raises(DatasetError, match=rf"{name}:? .*(Restore the files|restore it|is not a dataset)"):
        reason(taught, ReasonConfig(), tmp_path / "s2")
    assert not (tmp_path / "s2").exists()
    file.write_bytes(good)
    assert reason(taught, ReasonConfig(), tmp_path / "s2").info.parent == Dataset(taught).as_parent()


def test_training_names_the_broken_file_of_its_data_and_begins_nothing(made, tmp_path):
    data = shutil.copytree(made.data, tmp_path / "s2")
    cut(data / "shards" / "frames-00000.parquet")
    with pytest.raises(DatasetError, match=r"s2/shards/frames-00000.parquet: it has .* bytes .*Restore"):
        train_agent(agent_training(data, made.tokenizers), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("harm", [partial(cut, end=200), os.remove], ids=["cut", "missing"])
@pytest.mark.parametrize("opening", [Opening(), Opening(resume=True)], ids=["anew", "resume"])
def test_shards_whose_manifest_is_lost_are_kept(taught, harm, opening):
    harm(taught / "manifest.json")
    before = contents(taught)
    with pytest.raises(DatasetError, match=r"manifest.json.*restore it from a copy|already holds a dataset"):
        collect(COLLECT, taught, opening)
    assert contents(taught) == before
    assert len(before) > 4


def test_a_shard_that_is_broken_stops_a_resumed_stage_before_it_writes(taught, made):
    file = taught / "shards" / "steps-00002.parquet"
    good = file.read_bytes()
    cut(file)
    before = contents(taught)
    with pytest.raises(DatasetError, match=r"steps-00002.parquet: it has .*Restore"):
        collect(COLLECT, taught, Opening(resume=True))
    assert contents(taught) == before
    file.write_bytes(good)
    assert collect(COLLECT, taught, Opening(resume=True)).ids == Dataset(made.root / "s1").ids


# Actions


def test_an_unknown_key_in_a_row_is_told_with_file_row_and_nearest_key(taught, made, tmp_path, capsys):
    good = contents(taught)
    number = len(Dataset(taught)[0].steps)
    alter_rows(taught, lambda rows: rows[number].update(action="place_tabel"))
    words = ["reason", "--source", str(taught), "--out", str(tmp_path / "s2")]
    assert main(words) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert f"steps-00000.parquet, row {number} (trajectory 'place_table-tool-0', step 0)" in told
    assert "'place_tabel' is not a key of 'crafter'" in told
    assert "Did you mean 'place_table'?" in told
    assert Dataset(tmp_path / "s2", allow_incomplete=True).ids == ["collect_wood-manual-0"], "what came before is kept"
    for name, data in good.items():
        (taught / name).write_bytes(data)
    assert main([*words, "--overwrite"]) == 0
    assert Dataset(tmp_path / "s2").ids == Dataset(made.data).ids


def test_a_key_that_a_world_does_not_have_changes_nothing_in_it():
    world = make_world("crafter")
    seed = world.episode_seeds(world.task, "manual", Split.TRAIN, 1)[0]
    world.reset(seed=seed)
    before = world.save()
    with pytest.raises(ActionError, match=r"'mvoe_left' is not a key of 'crafter'.*Did you mean 'move_left'"):
        world.act(Action.press("mvoe_left"))
    assert world.save() == before


# Names


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        (review, {"tasks": ("colect_wood",)}, "unknown task 'colect_wood'. Did you mean 'collect_wood'"),
        (review, {"tasks": ("collect_wood/tol",)}, "setting of task 'collect_wood' 'tol'. Did you mean 'tool'"),
        (review, {"teacher": "craftr"}, "unknown teacher 'craftr'. Did you mean 'crafter'"),
        (review, {"reviewer": "craftr"}, "unknown reviewer 'craftr'. Did you mean 'crafter'"),
        (align, {"reasoner": "craftr"}, "unknown reasoner 'craftr'. Did you mean 'crafter'"),
    ],
)
def test_a_wrong_name_leaves_nothing_behind(made, tmp_path, stage, changes, message):
    with pytest.raises(UnknownNameError, match=message):
        stage(AlignConfig(agent=str(made.agent), **changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_reasoner_is_told(made, tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown reasoner 'crafte'. Did you mean 'crafter'"):
        reason(made.root / "s1", ReasonConfig(reasoner="crafte"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_agent_of_an_unknown_world_is_told(agent, tmp_path):
    about = json.loads((agent / "agent.json").read_text())
    (agent / "agent.json").write_text(json.dumps({**about, "environment": "craftr"}))
    with pytest.raises(UnknownNameError, match=r"unknown environment 'craftr'. Did you mean 'crafter'"):
        review(LookaheadConfig(agent=str(agent)), tmp_path / "out")


# Agents and tokenizers


def weights_of_another_preset(agent):
    save(RIG(PRESETS.get("small"), seed=0), agent.parent / "small")
    shutil.copy(agent.parent / "small" / "model.safetensors", agent)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (weights_of_another_preset, r"agent/model.safetensors does not fit the config.json beside it: .*another shape"),
        (lambda agent: cut(agent / "model.safetensors"), "agent/model.safetensors is cut short"),
        (lambda agent: os.remove(agent / "model.safetensors"), "agent/model.safetensors is missing"),
        (lambda agent: cut(agent / "tokenizer.json"), "agent/tokenizer.json cannot be read"),
    ],
)
def test_a_broken_agent_is_named_before_anything_begins(agent, made, tmp_path, harm, message):
    harm(agent)
    config = agent_training(made.data, made.tokenizers, start=str(agent))
    for use in (
        lambda: review(LookaheadConfig(agent=str(agent)), tmp_path / "out"),
        lambda: train_agent(config, tmp_path / "out"),
    ):
        with pytest.raises(CheckpointError, match=message):
            use()
    assert not (tmp_path / "out").exists()


def test_an_agent_without_its_keys_is_a_base(agent, tmp_path):
    os.remove(agent / "agent.json")
    with pytest.raises(CheckpointError, match=r"agent/agent.json is missing: .* is a base.*`rig train --start"):
        review(LookaheadConfig(agent=str(agent)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"form": {"thougt": 1}}, "form has an unknown field 'thougt'. Did you mean 'thought'"),
        ({"form": {"thought": "xxx"}}, "Expected `bool`, got `str` - at `form.thought`"),
        ({"form": {"read_back": "pixel"}}, "'pixel' - at `form.read_back`"),
        ({"form": None}, "got `null` - at `form`"),
        ({"action_space": None}, "got `null` - at `action_space`"),
        ({"action_space": {"name": "crafter"}}, "missing required field `keys`"),
        ({"action_space": {"name": "x", "keys": ["a", "a"], "camera": None, "exclusive": True}}, "names a key twice"),
        ({"action_space": {"name": "x", "keys": ["a"], "camera": {"step": 0}}}, ">= 1 - at `action_space.camera.step`"),
        ({"environment": []}, "Expected `str`, got `array` - at `environment`"),
        ({"environment": ""}, "length >= 1 - at `environment`"),
        ({"origin": [1]}, "Expected `object`, got `array` - at `origin`"),
        ({"enviroment": "crafter"}, "unknown field 'enviroment'. Did you mean 'environment'"),
    ],
)
def test_a_malformed_field_of_an_agent_is_named(agent, changes, says):
    about = json.loads((agent / "agent.json").read_text())
    (agent / "agent.json").write_text(json.dumps({**about, **changes}))
    for read in (AgentCheckpoint.load, read_agent):
        with pytest.raises(CheckpointError, match=r"agent/agent.json") as error:
            read(agent)
        assert says in str(error.value)


def another_text(folder):
    """Put a text tokenizer of the same size and other tokens into `folder`."""
    size = len(Tokenizers.load(folder).text)
    words = (f"{chr(97 + n % 26)}{chr(97 + n // 26)}{chr(97 + n * 7 % 26)}" * 3 for n in range(600))
    text = train_bpe(words, vocabulary_size=size, atoms=text_atoms(make_world("crafter").actions))
    assert len(text) == size
    text.save(folder)


def another_vq(folder):
    """Put a frame tokenizer of the same shape and other weights into `folder`."""
    weights = load_file(folder / "vq.safetensors")
    weights["quantize.embedding.weight"] += 1
    save_file(weights, folder / "vq.safetensors")


@pytest.mark.parametrize("change", [another_text, another_vq])
def test_an_agent_goes_on_with_its_own_tokenizers_only(made, tokenizers, tmp_path, change):
    change(tokenizers)
    with pytest.raises(RigError, match=r"was trained with other tokenizers than .*tokenizers; give those"):
        train_agent(agent_training(made.data, tokenizers, start=str(made.agent)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    train_agent(agent_training(made.data, made.tokenizers, start=str(made.agent)), tmp_path / "out")


def test_an_agent_with_the_texts_of_a_larger_one_is_refused(agent):
    space = make_world("crafter").actions
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}{chr(97 + n * 7 % 26)}" * 3 for n in range(600)]
    train_bpe(words, vocabulary_size=900, atoms=text_atoms(space)).save(agent)
    with pytest.raises(CheckpointError, match="do not belong together"):
        AgentCheckpoint.load(agent)


@pytest.mark.parametrize("name", ["tokenizer.json", "vq.json", "vq.safetensors", "scores.json"])
@pytest.mark.parametrize("harm", [cut, os.remove], ids=["cut", "missing"])
def test_broken_tokenizers_are_named_before_anything_begins(made, tokenizers, tmp_path, name, harm):
    harm(tokenizers / name)
    with pytest.raises(
        CheckpointError,
        match=r"tokenizers(/[a-z.]+ (cannot be read|is missing|is not JSON|is cut short)| does not hold)",
    ):
        train_agent(agent_training(made.data, tokenizers), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tokenizers_of_other_frames_are_refused(made, tokenizers, tmp_path):
    config = replace(PRESETS.get("debug").vq, image_size=96)
    save_file(VQModel(config, seed=0).state_dict(), tokenizers / "vq.safetensors")
    (tokenizers / "vq.json").write_text(json.dumps(asdict(config)))
    with pytest.raises(RigError, match=r"tokenizers code frames of 96 pixels a side, and preset 'debug' reads 144"):
        train_agent(agent_training(made.data, tokenizers), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Runs


def test_a_line_of_metrics_that_was_cut_does_not_stop_a_run(made, tmp_path):
    config = agent_training(made.data, made.tokenizers)
    with interrupted_at_a_save():
        train_agent(config, tmp_path / "run")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "thought_lo')
    train_agent(config, tmp_path / "run", resume=True)
    assert metrics_of(tmp_path / "run") == metrics_of(made.agent.parent)


class Sly:
    """What would run code, were it opened."""

    def __reduce__(self):
        return os.mkdir, ("opened",)


class Attribute:
    """What is written as an attribute of a class."""

    def __init__(self, kind, name):
        self.kind, self.name = kind, name

    def __reduce__(self):
        return getattr, (self.kind, self.name)


def foreign(path):
    """Put the state of another network in the place of a run's."""
    shutil.rmtree(path)
    dcp.save({"step": torch.tensor(4), "model.weight": torch.ones(3)}, checkpoint_id=path)


def grown(path):
    """Put the state of a larger network in the place of a run's."""
    tensors = {name: torch.zeros(value.numel() + 1) for name, value in state_of(path.parents[1]).items()}
    shutil.rmtree(path)
    dcp.save(tensors, checkpoint_id=path)


def test_a_states_contents_may_name_a_member_of_an_enum_as_some_pythons_do(tmp_path):
    (tmp_path / "contents").write_bytes(pickle.dumps(Attribute(_MEM_FORMAT_ENCODING, "TORCH_PRESERVE_FORMAT")))
    _check_metadata(tmp_path / "contents")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: cut(path / "__0_0.distcp"), ""),
        (lambda path: os.remove(path / "__0_0.distcp"), "No such file"),
        (lambda path: cut(path / ".metadata"), ""),
        (lambda path: os.remove(path / ".metadata"), "No such file"),
        (lambda path: (path / ".metadata").write_bytes(b"half"), ""),
        (lambda path: (path / ".metadata").write_bytes(pickle.dumps(Sly())), "it holds posix.mkdir, which no state"),
        (lambda path: (path / ".metadata").write_bytes(pickle.dumps(Attribute(torch.Size, "numel"))), "Size'>'s numel"),
        (foreign, "Missing key"),
        (grown, "[Ss]ize mismatch"),
    ],
    ids=[
        "cut",
        "missing",
        "contents cut",
        "contents missing",
        "no contents",
        "a pickle",
        "an attribute",
        "foreign",
        "larger",
    ],
)
def test_a_broken_state_is_named_and_kept(made, tmp_path, monkeypatch, harm, message):
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(made.agent.parent, tmp_path / "run")
    harm(run / "state" / "step-000004")
    before = contents(run)
    config = agent_training(made.data, made.tokenizers)
    with pytest.raises(
        CheckpointError, match=rf"run/state/step-000004 cannot be read .*{message}.*; remove it to begin"
    ):
        train_agent(config, run, resume=True)
    assert contents(run) == before
    assert not (tmp_path / "opened").exists()
    shutil.rmtree(run / "state" / "step-000004")
    train_agent(config, run, resume=True)
    assert metrics_of(run) == metrics_of(made.agent.parent)


def trained_tokenizers(made, folder, save_every, **options):
    """Train the tokenizers that `made` has; `save_every` alone may differ."""
    config = TokenizerTraining(
        model=PRESETS.get("debug").vq, steps=12, batch_size=2, held_out=4, save_every=save_every, log_every=2
    )
    return train_tokenizers(Dataset(made.data), config, folder, vocabulary_size=512, **options)


def test_a_state_of_an_earlier_version_is_not_begun_over(made, tmp_path):
    run = Run(tmp_path / "run", {"steps": 1})
    run.close()
    (tmp_path / "run" / "state.pt").write_bytes(b"as torch.save wrote it")
    with (
        Run(tmp_path / "run", {"steps": 1}, resume=True) as again,
        pytest.raises(CheckpointError, match=r"state.pt was saved by an earlier version.*remove it"),
    ):
        again.load_state({"step": torch.tensor(0)})


@pytest.mark.parametrize("cut_at", [2, 6], ids=["before the codebook is set", "after"])
def test_tokenizers_whose_training_was_cut_are_the_same_in_the_end(made, tmp_path, cut_at):
    with interrupted_at_a_save():
        trained_tokenizers(made, tmp_path / "run", cut_at)
    assert state_of(tmp_path / "run")["step"] == cut_at
    tokenizers = trained_tokenizers(made, tmp_path / "run", cut_at, resume=True)
    assert tokenizers.hash == Tokenizers.load(made.tokenizers).hash
    assert metrics_of(tmp_path / "run") == metrics_of(made.tokenizers)


def test_a_run_whose_configuration_is_cut_is_named_and_kept(made, tmp_path):
    run = shutil.copytree(made.agent.parent, tmp_path / "run")
    cut(run / "run.json")
    before = contents(run)
    with pytest.raises(CheckpointError, match=r"run/run.json is not JSON .*restore it"):
        train_agent(agent_training(made.data, made.tokenizers), run, resume=True)
    assert contents(run) == before


# A full disk: what it says, what is left, and that all goes on from there once there is space


def worded(path):
    raise RuntimeError("I/O error: No space left on device (os error 28)")


def hidden(path):
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        raise RuntimeError("unexpected position 64") from None


def unrelated(path):
    raise RuntimeError("unexpected position 64")


@pytest.mark.parametrize("write_to", [worded, hidden])
def test_a_full_disk_is_known_behind_what_a_library_makes_of_it(tmp_path, write_to):
    with (
        pytest.raises(RigError, match=r"no space left to write .*note\.bin"),
        atomic_file(tmp_path / "note.bin") as path,
    ):
        write_to(path)
    with pytest.raises(RuntimeError, match="position"), atomic_file(tmp_path / "note.bin") as path:
        unrelated(path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("stage", ["collect", "reason"])
def test_a_stage_on_a_full_disk_goes_on_where_it_was(taught, disk, tmp_path, monkeypatch, stage):
    monkeypatch.setattr("rig.stages.base.DatasetWriter", partial(DatasetWriter, shard_steps=SHARD_STEPS))

    def run(out, opening=None):
        return collect(COLLECT, out, opening) if stage == "collect" else reason(taught, ReasonConfig(), out, opening)

    out = disk("160k") / stage
    with pytest.raises(RigError, match=rf"no space left to write .*disk/{stage}.* MB are free.*run again"):
        run(out)
    left = Dataset(out, allow_incomplete=True)
    left.verify()
    assert 0 < len(left) < 8
    before = contents(out / "shards")
    assert len(before) == 2 * len(left.manifest.shards), "no half of a file is left"
    disk("64m")
    dataset = run(out, Opening(resume=True))
    assert before.items() < contents(out / "shards").items()
    assert dataset.content_hash == run(tmp_path / "whole").content_hash


def test_codes_on_a_full_disk_are_computed_once_there_is_space(made, disk):
    pages = sum(
        -(-path.stat().st_size // 4096) for path in made.data.rglob("*.*") if not {"codes", "pixels"} & {*path.parts}
    )
    data = disk(f"{4 * (pages + 3)}k") / "s2"
    shutil.copytree(made.data, data, ignore=shutil.ignore_patterns("codes", "pixels"))
    vq, dataset = Tokenizers.load(made.tokenizers).vq, Dataset(data)
    with pytest.raises(RigError, match=r"no space left to write .*disk/s2/codes/.*\.npz"):
        CodesCache(dataset, "vq").fill(partial(encode_frames, vq), progress=False)
    dataset.verify()
    disk("64m")
    cache = CodesCache(dataset, "vq")
    assert cache.fill(partial(encode_frames, vq), progress=False) > 0
    step = next(dataset.with_codes(cache).steps())
    assert np.array_equal(step.next_codes, encode_frames(vq, step.next_frame[None])[0])


def test_mapped_frames_on_a_full_disk_are_written_once_there_is_space(made, disk):
    data = disk("1m") / "s2"
    shutil.copytree(made.data, data, ignore=shutil.ignore_patterns("codes", "pixels"))
    with pytest.raises(RigError, match=r"no space left to write .*disk/s2/pixels/.*\.npy"):
        load_frames(Dataset(data), shared=True, progress=False)
    assert [path.name for path in (data / "pixels").iterdir()] == [".lock"]
    disk("64m")
    store = load_frames(Dataset(data), shared=True, progress=False)
    assert np.array_equal(store.frames, load_frames(Dataset(data), progress=False).frames)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("size", "file", "step"),
    [
        ("4k", "run.json", None),
        ("8k", "(metrics.jsonl|state/step-000002)", None),
        ("1m", "state/step-000002", None),
        ("4m", "state/step-000004", 2),
        ("5900k", "agent/model.safetensors", 4),
    ],
)
def test_a_trainer_on_a_full_disk_goes_on_where_it_was(made, disk, size, file, step):
    config, folder = agent_training(made.data, made.tokenizers), disk(size) / "run"
    with pytest.raises(RigError, match=rf"no space left to write .*disk/run/{file}: .* MB are free.*run again"):
        train_agent(config, folder)
    assert [path.name for path in folder.glob("state/*")] == ([f"step-{step:06d}"] if step else [])
    assert not (folder / "agent" / "agent.json").exists(), "half an agent is none"
    assert not list(folder.rglob("*.tmp"))
    disk("64m")
    agent = train_agent(config, folder, resume=True)
    found, wanted = (load_file(path / "model.safetensors") for path in (agent, made.agent))
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert metrics_of(folder) == metrics_of(made.agent.parent)


@pytest.mark.parametrize(
    ("size", "save_every", "file"),
    [("4m", 6, "state/step-000006"), ("10m", 6, "state/step-000012"), ("9m", 12, "vq.safetensors")],
)
def test_a_tokenizers_trainer_on_a_full_disk_goes_on_where_it_was(made, disk, size, save_every, file):
    train = partial(trained_tokenizers, made, disk(size) / "tokenizers", save_every)
    with pytest.raises(RigError, match=rf"no space left to write .*disk/tokenizers/{file}: .* MB are free.*run again"):
        train()
    folder = disk("64m") / "tokenizers"
    assert not list(folder.rglob("*.tmp"))
    assert any(folder.glob("state/*")) == (size != "4m")
    assert train(resume=True).hash == Tokenizers.load(folder).hash == Tokenizers.load(made.tokenizers).hash
