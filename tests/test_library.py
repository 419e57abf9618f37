"""The library: what `import rig` gives, lazily; an agent that decides as `rig eval` has it decide, and dreams."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from choices import clearly
from hub_makers import hub, with_hub

import rig
from rig.agents import AgentCheckpoint, FolderSource, HowToPlay
from rig.agents.agent import decision_seed
from rig.agents.hub import agent_folder
from rig.envs import make_world
from rig.errors import CheckpointError, RigError
from rig.evaluate.chains import real_chains
from rig.evaluate.config import ImaginationConfig
from rig.evaluate.imagination import dream_chains
from rig.records import Observation

ROOT = Path(__file__).parents[1]

NAMES = """
Action ActionSpace Agent AgentTraining Basic BestOf DataPart Dataset Decision Dream EmbodiedConfig Lookahead NOOP Plan
RemoteAgent Resample Review RigError Step TrainingConfig Trajectory World connect evaluate load_agent make_world
train_agent
"""
"""What the library has given since it was there; a name may come, none may go."""

FIRST_USE = """
import sys, time
started = time.perf_counter()
import rig
seconds = time.perf_counter() - started
early = sorted(name for name in sys.modules if name.startswith("rig.") or name in ("numpy", "torch"))
rig.Action.press("use"), rig.Decision, rig.Dataset, rig.AgentTraining, rig.make_world("crafter")
import json
print(json.dumps({"seconds": seconds, "early": early, "torch": "torch" in sys.modules}))
"""


def test_what_is_imported_is_imported_when_it_is_used():
    found = json.loads(subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, check=True).stdout)
    assert found["early"] == []
    assert found["seconds"] < 0.5
    assert not found["torch"], "records, datasets, configurations and worlds do without"


def test_the_names_are_those_that_are_listed_and_each_leads_somewhere():
    assert sorted(rig.__all__) == sorted(NAMES.split())
    assert set(rig.__all__) <= set(dir(rig))
    assert all(getattr(rig, name) is not None for name in rig.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rig.nothing


def generator():
    spec = util.spec_from_file_location("api", ROOT / "scripts" / "api.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_library_is_what_its_docstrings_say():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert page == generator().page(), "run `make api`"
    assert sorted(line[8:] for line in page.splitlines() if line.startswith("### rig.")) == sorted(rig.__all__)
    assert all(len(line) <= 120 for line in page.splitlines())


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "rig", "--version"]
    assert subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip() == rig.__version__


@pytest.fixture(scope="module")
def seen():
    world = make_world("crafter")
    frame, _ = world.reset(seed=3, options={"task": "place_table", "setting": "tool"})
    move = rig.Action.press("move_left")
    return Observation(frame=frame, instruction=world.task.instruction, previous_action=move)


def told(decision):
    """Return what a decision says, without what it took."""
    return replace(decision, cost=None, plans=()), [
        (plan.thought, plan.action, [dream.codes.tolist() for dream in plan.dreams]) for plan in decision.plans
    ]


def test_an_agent_decides_as_an_evaluation_has_it_decide(made, seen):
    agent = rig.load_agent(made.agent, planner=rig.Lookahead(dreams=1), thought_tokens=12, dtype="float32")
    how = HowToPlay(planner_for=lambda _: rig.Lookahead(dreams=1), thought_tokens=12, dtype="float32")
    policy = FolderSource().actor(str(made.agent), make_world("crafter"), how).policy
    for seed in range(3):
        mine = agent.decide(seen.frame, seen.instruction, "move_left", seed=seed)
        assert told(mine) == told(policy.decide([seen], [seed])[0])
        assert mine.dreams[0].frame.dtype == np.uint8
    assert agent.environment == "crafter"
    assert mine.judgement is None


def test_decisions_without_a_seed_follow_from_the_agents_own(made, seen):
    load = partial(rig.load_agent, made.agent, thought_tokens=12, temperature=1.0, dtype="float32")
    first, again, other = load(seed=1), load(seed=1), load(seed=2)
    asked = (seen.frame, seen.instruction, seen.previous_action)
    thoughts = [[told(agent.decide(*asked)) for _ in range(3)] for agent in (first, again, other)]
    assert thoughts[0] == thoughts[1] != thoughts[2]
    assert thoughts[0][1] == told(other.decide(*asked, seed=decision_seed(1, 1)))
    assert thoughts[0][0] != thoughts[0][1]


def test_dreams_are_those_that_an_evaluation_scores(made, tmp_path):
    checkpoint = AgentCheckpoint.load(made.agent).for_running("float32")
    config = ImaginationConfig(agent=str(made.agent), chains=1, depth=2, tasks=("collect_wood/manual",), batch_size=1)
    config = replace(config, teacher="crafter", reasoner="crafter")
    chain = next(real_chains(checkpoint, config))
    agent = rig.load_agent(made.agent, dtype="float32")
    steps = [replace(step, previous_action=before, earlier_actions=()) for step, before in _chained(chain)]
    chain = replace(chain, steps=[*steps, chain.steps[-1]])
    _, scored = clearly(lambda _: dream_chains(checkpoint, [chain], config).frames[0], range(1))
    actions, thoughts = ([getattr(step, name) for step in steps] for name in ("action", "thought"))
    dreamed = agent.dream(steps[0].frame, actions, steps[0].instruction, thoughts=thoughts)
    assert np.array_equal(np.stack(dreamed), scored)


def _chained(chain):
    """Yield the steps that are dreamed about, and what an agent without a past is told was done before each."""
    before = rig.NOOP
    for step in chain.steps[:-1]:
        yield step, before
        before = step.action


def test_a_dream_of_any_length_has_the_size_of_what_is_seen(made, seen):
    agent, wide = rig.load_agent(made.agent, dtype="float32"), np.repeat(seen.frame[:60], 2, axis=1)
    dreamed = agent.dream(wide, ["move_left", rig.Action.press("use"), "noop"])
    assert [frame.shape for frame in dreamed] == [wide.shape] * 3
    assert agent.dream(wide, []) == []


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"frame": np.zeros((4, 4), np.uint8)}, r"this one is uint8 \[4, 4\]"),
        ({"frame": np.zeros((144, 144, 3))}, "this one is float64"),
        ({"frame": [[1]]}, r"this is \[\[1\]\]"),
        ({"instruction": "wood " * 80}, "there is room for 64"),
        ({"instruction": "\ud800"}, "no Unicode"),
        ({"instruction": "human: hello"}, "fixed phrase 'human:'"),
        ({"instruction": 3}, "expected `str`"),
        ({"previous_action": "fly"}, "'fly' is not a key"),
        ({"previous_action": rig.Action.press("fly")}, "'fly' is not a key"),
    ],
)
def test_what_cannot_be_asked_is_told(made, seen, change, wrong):
    agent = rig.load_agent(made.agent, dtype="float32")
    asked = {"frame": seen.frame, "instruction": "wood", "previous_action": rig.NOOP}
    with pytest.raises(RigError, match=wrong):
        agent.decide(**asked | change)


def test_impossible_dreams_are_told(made, seen):
    agent = rig.load_agent(made.agent, dtype="float32")
    with pytest.raises(RigError, match="1 thoughts for 2 actions"):
        agent.dream(seen.frame, ["noop", "noop"], thoughts=["1. So I wait."])
    agent._policy.config = replace(
        agent._policy.config, prompt_format=replace(agent._policy.config.prompt_format, dream=False)
    )
    with pytest.raises(RigError, match="trained without dreams"):
        agent.dream(seen.frame, ["noop"])


def test_an_evaluation_is_called_by_the_name_of_its_room(tmp_path):
    config = rig.EmbodiedConfig(agent="teacher:crafter", tasks=("collect_wood/manual",), episodes=1, split="validation")
    assert rig.evaluate(config, tmp_path / "scores")["success"]["value"] == 1


FETCH = """
import json, sys
from rig.agents.hub import agent_folder
from rig.errors import CheckpointError
said = []
for name in sys.argv[1:]:
    try:
        said.append(str(agent_folder(name)))
    except CheckpointError as error:
        said.append(f"refused: {error}")
print(json.dumps(said + ["torch" in sys.modules]))
"""


def test_an_agent_is_fetched_from_a_hub_once_and_then_opened_without_it(made, tmp_path):
    with hub() as server:
        server.give("models", "me/agent", made.agent)
        (found, missing, _), _ = with_hub(FETCH, server.url, tmp_path, "me/agent", "me/other")
    assert missing.startswith("refused: there is no folder 'me/other' here, and no repository of that name")
    (offline, never, _), _ = with_hub(FETCH, server.url, tmp_path, "me/agent", "me/other")
    assert offline == found
    assert "cannot be fetched" in never
    assert "connect to the hub once, or name a folder" in never
    model = Path(found) / "model.safetensors"
    assert model.read_bytes() == (made.agent / "model.safetensors").read_bytes()
    assert rig.load_agent(found).environment == "crafter"


def test_a_folder_is_never_looked_for_on_a_hub(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me" / "agent").mkdir(parents=True)
    assert agent_folder("me/agent") == Path("me/agent")
    with pytest.raises(CheckpointError, match=r"agent\.json is missing"):
        rig.load_agent("me/agent")
    with pytest.raises(CheckpointError, match=r"agent\.json is missing"):
        rig.load_agent("runs/nothing/agent")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(rig.RigError, match=r"pip install 'rig-agent\[hub\]'"):
        rig.load_agent("you/agent")


def test_the_whole_command_is_completed(capsys, tmp_path):
    from rig.cli.main import main

    assert main(["--completion", "bash"]) == 0
    script = tmp_path / "rig.bash"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    asked = {"rig ev": "eval eval-reviews", "rig bench decode --ro": "--rounds", "rig eval --dtype f": "float32"}
    for words, wanted in asked.items():
        count = len(words.split()) - 1
        command = (
            f"source {script}; f=$(complete -p rig | sed 's/.*-F \\([^ ]*\\) .*/\\1/'); COMP_WORDS=({words}); "
            f'COMP_CWORD={count}; COMP_LINE="{words}"; COMP_POINT=${{#COMP_LINE}}; $f; echo "${{COMPREPLY[@]}}"'
        )
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
        assert sorted(done.stdout.split()) == wanted.split()
    assert main(["--completion", "fish"]) == 2
    assert "Known: bash, tcsh, zsh." in capsys.readouterr().err
