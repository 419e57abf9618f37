"""Processes that train together learn what one learns alone, and go on with each other's runs; torchrun starts them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from makers import QUICK, agent_training, interrupted_at_a_save
from safetensors.torch import load_file
from test_train import metrics_of, state_of

from rig.cli.main import main
from rig.model.precision import Gains
from rig.storage import Lock
from rig.train import train_agent

TWO_PACKS = replace(QUICK, steps=6, pack_tokens=1024, step_tokens=2048, log_every=1, save_every=2)
RELATIVE = 1e-5
"""How far losses may differ: float32 sums in another order. In bfloat16 that last bit would become a thousandth."""


def no_gains():
    """Say that bfloat16 is no faster here than float32, whatever the processor."""
    return Gains(training=1.0, prefill=1.0, token=1.0)


SCRIPT = """
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
import pytest
import torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
from makers import agent_training, interrupted_at_a_save
import rig.model.runtime
from test_train_ranks import LOW_RANKS, TWO_PACKS, no_gains
from rig.train import Execution, train_agent
from rig.train.ranks import number, together
rig.model.runtime.gains = no_gains
FSDP = Execution(parallel='fsdp')
config = agent_training(Path({data!r}), Path({tokenizers!r}), training=TWO_PACKS)
with together():
{body}
"""

LOW_RANKS = {"lora": ("decoder", "heads"), "lora_rank": 3, "freeze": ("vision", "embeddings")}

TOGETHER = """
import rig.model.checkpoint

def of_tokenizers(stored, read=rig.model.checkpoint.read_tensor):
    assert stored.path.name == "vq.safetensors", stored.path
    return read(stored)

def low_ranks(folder, **options):
    with pytest.MonkeyPatch.context() as patch:
        if number() == 1:
            patch.setattr("rig.model.rig.initialise", None)
            patch.setattr("rig.model.checkpoint.read_tensor", of_tokenizers)
        train_agent(replace(config, **LOW_RANKS, **options), folder, execution=replace(FSDP, recompute=True))

train_agent(config, folder / "ddp", execution=Execution(parallel='ddp'))
train_agent(config, folder / "fsdp", execution=FSDP)
train_agent(config, folder / "begun by one", resume=True, execution=FSDP)
low_ranks(folder / "fresh")
low_ranks(folder / "from a folder", start={agent!r})
with interrupted_at_a_save(4):
    train_agent(config, folder / "begun by two", execution=FSDP)
"""
"""All that two processes train in these tests: starting them takes longer than any of it."""


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
        patch.setattr("rig.model.runtime.gains", no_gains)
        yield


@pytest.fixture(scope="module")
def trained(made, tmp_path_factory, in_float32):
    """What one process and two together train, once for all of pytest's workers, with the data that it was made of."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "ranks"
    with Lock(folder.with_suffix(".lock"), wait=True):
        if not (folder / "told.json").is_file():
            _train_all(made, folder)
        told = json.loads((folder / "told.json").read_text())
    assert told["status"] == 0, told["stderr"]
    paths = {name: Path(told[name]) for name in ("data", "tokenizers", "agent")}
    return SimpleNamespace(folder=folder, alone=folder / "alone", **paths)


def _train_all(made, folder):
    config = agent_training(made.data, made.tokenizers, training=TWO_PACKS)
    train_agent(config, folder / "alone")
    with interrupted_at_a_save(2):
        train_agent(config, folder / "begun by one")
    assert state_of(folder / "begun by one")["step"] == 2
    done = train_together(made, folder, TOGETHER.format(agent=str(made.agent)))
    paths = {name: str(getattr(made, name)) for name in ("data", "tokenizers", "agent")}
    (folder / "told.json").write_text(json.dumps({"status": done.returncode, "stderr": done.stderr, **paths}))


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
def test_two_processes_learn_what_one_learns(trained, parallel):
    losses = [line["thought_loss"] for line in metrics_of(trained.alone) if "thought_loss" in line]
    assert losses[-1] < losses[0] - 0.3, "a curve that is to be followed"
    run = trained.folder / parallel
    assert_same_run(run, trained.alone, exactly=parallel == "ddp")
    assert len(list((trained.data / "pixels").glob("*.npy"))) == 1, "both have their frames from there"
    assert sorted(path.name for path in (run / "previews").iterdir()) == ["step-000004.png", "step-000006.png"]


def test_a_run_of_two_processes_goes_on_in_one(trained, tmp_path):
    run = shutil.copytree(trained.folder / "begun by two", tmp_path / "run")
    assert len(list((run / "state" / "step-000004").glob("*.distcp"))) == 2
    train_agent(agent_training(trained.data, trained.tokenizers, training=TWO_PACKS), run, resume=True)
    assert_same_run(run, trained.alone)


def test_a_run_of_one_process_goes_on_in_two(trained):
    assert_same_run(trained.folder / "begun by one", trained.alone)


@pytest.mark.parametrize("start", [False, True], ids=["fresh", "from a folder"])
def test_low_ranks_and_frozen_parts_can_be_sharded(trained, tmp_path, start):
    """Layers of which a part learns, recomputed, in shards: the agent has it merged, as that of one process has.

    The second process neither makes nor reads the network's weights.
    """
    options = LOW_RANKS | ({"start": str(trained.agent)} if start else {})
    train_agent(agent_training(trained.data, trained.tokenizers, training=TWO_PACKS, **options), tmp_path / "one")
    assert_same_run(trained.folder / ("from a folder" if start else "fresh"), tmp_path / "one")


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
