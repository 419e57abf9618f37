"""Processes that train together learn what one learns alone, and go on with each other's runs; torchrun starts them."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from makers import QUICK, agent_training, interrupted_at_a_save
from safetensors.torch import load_file
from test_train import metrics_of, state_of

from rig.cli.main import main
from rig.train import train_agent

TWO_PACKS = replace(QUICK, steps=6, pack_tokens=1024, step_tokens=2048, log_every=1, save_every=2)
RELATIVE = 1e-5
"""How far losses may differ: float32 sums in another order. In bfloat16 that last bit would become a thousandth."""

SCRIPT = """
import sys
from contextlib import nullcontext
from pathlib import Path
import torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from makers import agent_training, interrupted_at_a_save
from test_train_ranks import TWO_PACKS
from rig.train import Execution, train_agent
from rig.train.ranks import number, together
torch.cpu._is_amx_tile_supported = lambda: False
FSDP = Execution(parallel='fsdp')
config = agent_training(Path({data!r}), Path({tokenizers!r}), training=TWO_PACKS)
with together():
{body}
"""


def start(module, *words, processes=2):
    """Run a module or script with torchrun; return the finished process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    words = [*command, *module, *map(str, words)]
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)


def train_together(made, folder, body, **options):
    """Run `body` in two processes; `config` and `folder` are there."""
    file = folder.with_suffix(".py")
    lines = "\n".join(f"    {line}" for line in [f"folder = Path({str(folder)!r})", *body.splitlines()])
    tests = os.path.dirname(__file__)
    file.write_text(SCRIPT.format(tests=tests, data=str(made.data), tokenizers=str(made.tokenizers), body=lines))
    return start([str(file)], **options)


@pytest.fixture(scope="module", autouse=True)
def in_float32():
    """Train without bfloat16 here, as the script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
        yield


@pytest.fixture(scope="module")
def alone(made, tmp_path_factory, in_float32):
    """The run of one process, which takes both packs of every step."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    train_agent(agent_training(made.data, made.tokenizers, training=TWO_PACKS), folder)
    return folder


def assert_same_run(folder, wanted, *, exactly=False):
    """Check that two runs logged the same, drew the same and made the same agent."""
    found, expected = metrics_of(folder), metrics_of(wanted)
    assert len(found) == len(expected) == TWO_PACKS.steps + 2
    for one, other in zip(found, expected, strict=True):
        assert one == other if exactly else one == pytest.approx(other, rel=RELATIVE, abs=1e-6)
    agents = [load_file(path / "agent" / "model.safetensors") for path in (folder, wanted)]
    assert agents[0].keys() == agents[1].keys()
    for name, value in agents[0].items():
        torch.testing.assert_close(value, agents[1][name], rtol=0, atol=0 if exactly else 2e-3, msg=name)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_learn_what_one_learns(made, alone, tmp_path, parallel):
    losses = [line["thought_loss"] for line in metrics_of(alone) if "thought_loss" in line]
    assert losses[-1] < losses[0] - 0.3, "a curve that is to be followed"
    done = train_together(
        made, tmp_path / "run", f"train_agent(config, folder, execution=Execution(parallel={parallel!r}))"
    )
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", alone, exactly=parallel == "ddp")
    assert len(list((made.data / "pixels").glob("*.npy"))) == 1, "both have their frames from there"
    assert sorted(path.name for path in (tmp_path / "run" / "previews").iterdir()) == [
        "step-000004.png",
        "step-000006.png",
    ]


def test_a_run_of_two_processes_goes_on_in_one(made, alone, tmp_path):
    body = "with interrupted_at_a_save(4):\n    train_agent(config, folder, execution=FSDP)"
    done = train_together(made, tmp_path / "run", body)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "run" / "state" / "step-000004").glob("*.distcp"))) == 2
    train_agent(agent_training(made.data, made.tokenizers, training=TWO_PACKS), tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", alone)


def test_a_run_of_one_process_goes_on_in_two(made, alone, tmp_path):
    with interrupted_at_a_save(2):
        train_agent(agent_training(made.data, made.tokenizers, training=TWO_PACKS), tmp_path / "run")
    assert state_of(tmp_path / "run")["step"] == 2
    done = train_together(made, tmp_path / "run", "train_agent(config, folder, resume=True, execution=FSDP)")
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "run", alone)


@pytest.mark.parametrize("start", [False, True], ids=["fresh", "from a folder"])
def test_low_ranks_and_frozen_parts_can_be_sharded(made, tmp_path, start):
    """Layers of which a part learns, recomputed, in shards: the agent has it merged, as that of one process has.

    The second process neither makes nor reads the network's weights.
    """
    options = {"lora": ("decoder", "heads"), "lora_rank": 3, "freeze": ("vision", "embeddings")}
    options |= {"start": str(made.agent)} if start else {}
    config = agent_training(made.data, made.tokenizers, training=TWO_PACKS, **options)
    train_agent(config, tmp_path / "one")
    body = f"""
from dataclasses import replace
import rig.model.checkpoint
if number() == 1:
    read = rig.model.checkpoint.read_tensor
    def of_tokenizers(stored):
        assert stored.path.name == "vq.safetensors", stored.path
        return read(stored)
    rig.model.rig.initialise, rig.model.checkpoint.read_tensor = None, of_tokenizers
config = replace(config, **{options!r})
train_agent(config, folder, execution=replace(FSDP, recompute=True))
"""
    done = train_together(made, tmp_path / "two", body)
    assert done.returncode == 0, done.stderr
    assert_same_run(tmp_path / "two", tmp_path / "one")


def test_a_mistake_in_one_process_ends_all_with_its_message(made, tmp_path):
    body = """
from rig.errors import RigError
from rig.train.packs import Packer
draw = Packer.next_pack
def stumble(self):
    if number() == 1 and self.drawn > 4:
        raise RigError("the second process stumbles")
    return draw(self)
Packer.next_pack = stumble
train_agent(config, folder)
"""
    done = train_together(made, tmp_path / "run", body)
    assert done.returncode != 0
    assert "the second process stumbles" in done.stderr
    assert not (tmp_path / "run" / "agent").exists()
    train_agent(agent_training(made.data, made.tokenizers, training=TWO_PACKS), tmp_path / "run", resume=True)


def test_the_command_trains_together_and_says_so_once(made, tmp_path, capsys):
    words = ["train", "--data", made.data, "--tokenizers", made.tokenizers, "--preset", "debug", "--no-compile"]
    words += ["--steps", 2, "--pack-tokens", 1024]
    done = start(["-m", "rig.cli.main"], *words, "--out", tmp_path / "uneven")
    assert done.returncode != 0
    assert "1 pack(s) of 1024 tokens a step cannot be shared evenly by 2 processes; give --step-tokens 2048" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr.partition("rig train: ")[0]
    words += ["--step-tokens", 2048]
    done = start(["-m", "rig.cli.main"], *words, "--out", tmp_path / "two", "--parallel", "fsdp", "--json-last")
    assert done.returncode == 0, done.stderr
    told, result = done.stdout.splitlines()
    assert "2 steps" in told
    assert json.loads(result)["totals"]["tokens"] == 4096
    assert main([str(word) for word in (*words, "--out", tmp_path / "one")]) == 0
    for one, other in zip(metrics_of(tmp_path / "two"), metrics_of(tmp_path / "one"), strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=0.01), "the command chooses its own dtype"
