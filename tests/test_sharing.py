"""Agents given away and fetched: the card that hubs read, a hub on loopback that takes and gives, and its refusals."""

import json
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hub_makers import TOKEN, commit_of, hub, with_hub

import rig
from rig.agents.actors import agent_name, short_name
from rig.cli.fetching import with_fetched
from rig.cli.main import main, read_verb
from rig.data import Dataset
from rig.errors import DatasetError, RigError
from rig.hub import HubName, hub_name, repository_of

FETCH = """
import json, sys, time
time.sleep = lambda seconds: None  # before the library asks again
from rig.agents.hub import agent_folder
from rig.data.hub import dataset_folder
said = []
for name in sys.argv[1:]:
    kind, _, name = name.partition("=")
    try:
        said.append(str((dataset_folder if kind == "dataset" else agent_folder)(name)))
    except ValueError as error:
        said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said + ["torch" in sys.modules]))
"""

PUSH = """
import json, sys
from rig.hub import push
said = []
for name in sys.argv[2:]:
    try:
        said.append(push(sys.argv[1], name, private=True))
    except ValueError as error:
        said.append(f"{type(error).__name__}: {error}")
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def scored(made, tmp_path_factory):
    """Results of a few episodes of the agent."""
    out = tmp_path_factory.mktemp("scored") / "eval"
    words = ("--tasks", "place_table/tool", "--episodes", "2", "--most-steps", "2", "--dtype", "float32")
    assert main(["eval", "--agent", str(made.agent), "--out", str(out), *words]) == 0
    return out


@pytest.fixture(scope="module")
def published(made, scored, tmp_path_factory):
    """The agent with its card, as it is given away; what else lies in its folder stays there."""
    folder = tmp_path_factory.mktemp("published")
    agent = folder / "agent"
    shutil.copytree(made.agent, agent)
    (agent / "notes.txt").write_text("mine")
    (agent / "previews").mkdir()
    summary = json.loads((scored / "summary.json").read_text())
    summary["config"]["agent"] = str(agent)
    (folder / "eval").mkdir()
    (folder / "eval" / "summary.json").write_text(json.dumps(summary))
    words = ("--repo-id", "me/agent", "--license", "mit", "--datasets", "me/s2", "--results", str(folder / "eval"))
    assert main(["publish", "--agent", str(agent), "--out", str(folder / "given"), *words]) == 0
    return folder / "given"


def test_the_card_is_what_hubs_read(published, scored):
    """Read by huggingface_hub, which takes nothing that its hub would refuse."""
    hub_library = pytest.importorskip("huggingface_hub")
    names = {"README.md", "agent.json", "config.json", "model.safetensors", "tokenizer.json"}
    assert {path.name for path in published.iterdir()} == names
    card = hub_library.ModelCard.load(published / "README.md")
    about = card.data.to_dict()
    assert (about["license"], about["library_name"], about["datasets"]) == ("mit", "rig-agent", ["me/s2"])
    assert {"rig", "world-model", "crafter", "thoughts", "dreams"} <= set(about["tags"])
    scores = json.loads((scored / "summary.json").read_text())["success"]
    first, cell = card.data.eval_results
    assert (first.metric_type, first.metric_name, first.metric_value) == (
        "success_rate",
        "mean success",
        scores["value"],
    )
    assert first.metric_args == {"low": scores["low"], "high": scores["high"], "confidence": 0.95, "n": 2}
    assert first.dataset_name == "crafter, evaluation split"
    assert cell.metric_name == "success, place_table/tool"
    assert card.text.strip().startswith("# agent\n")
    assert 'rig.load_agent("me/agent")' in card.text
    assert "rig play --agent hf:me/agent" in card.text
    assert "pip install 'rig-agent[crafter,hub]'" in card.text
    assert 'agent.decide(frame, "collect wood")' in card.text


@pytest.mark.parametrize(
    ("world", "extras", "instruction"),
    [
        ("minetest", "hub", "chop a tree"),
        ("minerl", "minerl,hub", "chop a tree"),
        ("of-somebody-else", "hub", "what is to be done"),
    ],
)
def test_a_card_says_how_an_agent_of_another_world_is_used(made, tmp_path, world, extras, instruction):
    """Whose world may be no extra of this package, or not installed where the agent is given away."""
    shutil.copytree(made.agent, tmp_path / "agent")
    about = json.loads((tmp_path / "agent" / "agent.json").read_text())
    (tmp_path / "agent" / "agent.json").write_text(json.dumps({**about, "environment": world}))
    assert main(["publish", "--agent", str(tmp_path / "agent"), "--out", str(tmp_path / "given")]) == 0
    card = (tmp_path / "given" / "README.md").read_text()
    assert f"pip install 'rig-agent[{extras}]'" in card
    assert f'agent.decide(frame, "{instruction}")' in card


def test_an_agent_is_given_away_by_who_runs_the_sources_uninstalled(made, tmp_path, monkeypatch):
    def uninstalled(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("rig.recipes.publish.metadata", uninstalled)
    assert main(["publish", "--agent", str(made.agent), "--out", str(tmp_path / "given")]) == 0
    assert "pip install 'rig-agent[hub]'" in (tmp_path / "given" / "README.md").read_text()


def test_an_agent_is_given_to_a_hub_and_comes_back_pinned(published, tmp_path):
    """With whom the library knows; the token goes to the hub alone, and the card's scores with the weights."""
    with hub() as server:
        said, written = with_hub(PUSH, server.url, tmp_path, str(published), "me/agent", "other/agent", token=TOKEN)
        assert said[0] == commit_of(1)
        assert said[1].startswith(f"RigError: {published} was not given to 'other/agent': ")
        assert "no rights" in said[1]
        (made,) = [json.loads(body) for asked, _, body in server.asked if asked.endswith("repos/create")][:1]
        assert made.get("private") is True or made.get("visibility") == "private"
        (files,) = server.repositories["models", "me/agent"]
        assert files == {path.name: path.read_bytes() for path in published.iterdir()}
        denied, _ = with_hub(PUSH, server.url, tmp_path, str(published), "me/agent", "wrong", token="hf_wrong")
        assert "RigError" in denied[0]
        assert denied[1] == "RigError: 'wrong' is no repository's id; it is owner/name"
        shutil.copytree(published, tmp_path / "later")
        (tmp_path / "later" / "README.md").write_text("later")
        server.give("models", "me/agent", tmp_path / "later")
        (pinned, newest, _), _ = with_hub(
            FETCH, server.url, tmp_path, f"agent=hf:me/agent@{commit_of(1)}", "agent=me/agent"
        )
    assert not any(TOKEN in path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN not in written + said[1]
    assert (Path(newest) / "README.md").read_text() == "later"
    assert (Path(pinned) / "README.md").read_bytes() == (published / "README.md").read_bytes()
    assert repository_of(pinned) == HubName("me/agent", commit_of(1))
    assert short_name(pinned) == "agent"
    assert agent_name(pinned).startswith("me/agent@")
    assert rig.load_agent(pinned).environment == "crafter"


def test_what_a_hub_refuses_or_cuts_short_is_told_in_a_line(made, tmp_path):
    names = ("me/nothing", "hf:me/nothing", "hf:me/gated", "hf:me/cut", "hf:me/agent@v2", "hf:me/data", "hf:/etc")
    with hub() as server:
        for name in ("agent", "gated", "cut"):
            server.give("models", f"me/{name}", made.agent)
        server.give("models", "me/data", made.tokenizers)
        server.give("datasets", "me/s2", made.data)
        server.give("datasets", "me/empty", made.tokenizers)
        server.gated, server.cut = {"me/gated"}, {"me/cut"}
        told, _ = with_hub(
            FETCH,
            server.url,
            tmp_path,
            *(f"agent={name}" for name in names),
            *("dataset=hf:me/s2", "dataset=hf:me/empty", "dataset=hf:me/none"),
        )
    none, missing, gated, cut, revision, no_agent, no_name, data, no_data, no_dataset, torch = told
    assert none.startswith("CheckpointError: there is no folder 'me/nothing' here, and no repository of that name")
    assert missing.startswith("CheckpointError: there is no repository 'me/nothing' on the hub")
    assert "'me/gated' is gated; ask for access" in gated
    assert "'me/cut' cannot be fetched (" in cut
    assert revision == "CheckpointError: the repository 'me/agent' has no revision 'v2'"
    assert no_agent.endswith("has no agent.json; it holds no agent of `rig publish`")
    assert no_name == "RigError: 'hf:/etc' names no repository; it is hf:owner/name, or hf:owner/name@revision"
    assert no_data.startswith("DatasetError: the repository 'me/empty' has no manifest.json")
    assert no_dataset.startswith("DatasetError: there is no repository 'me/none'")
    assert not any("\n" in line for line in told[:-1])
    assert not torch
    dataset = Dataset(data)
    dataset.verify()
    assert dataset.content_hash == Dataset(made.data).content_hash
    offline, _ = with_hub(FETCH, server.url, tmp_path, "dataset=hf:me/s2", "dataset=hf:me/empty", "agent=hf:me/cut")
    assert offline[0] == data
    assert "cannot be fetched" in offline[2]
    assert "connect to the hub once, or name a folder" in offline[2]


def test_names_of_repositories():
    assert hub_name("hf:me/a.b-c@refs/pr/1") == HubName("me/a.b-c", "refs/pr/1")
    assert hub_name("me/agent") == HubName("me/agent", None)
    for other in ("runs/a/agent", "agent", "./agent", "me/agent@", "teacher:crafter", "ws://host:1", ""):
        assert hub_name(other) is None
    for wrong in ("hf:agent", "hf:", "hf:me/agent@", "hf:me/agent@a b", "hf:../../etc", "hf:me/agent/x"):
        with pytest.raises(RigError, match="names no repository"):
            hub_name(wrong)
    with pytest.raises(RigError, match="give one"):
        rig.load_agent("hf:me/agent@v1", revision="v2")


def test_flags_that_name_what_is_on_a_hub_get_its_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("rig.agents.hub.fetched", lambda name, *_, **__: _folder(tmp_path / name[0], "agent.json"))
    monkeypatch.setattr("rig.hub.fetched", lambda name, *_, **__: tmp_path / name[0])
    monkeypatch.setattr("rig.data.hub.fetched", lambda name, *_, **__: _folder(tmp_path / name[0], "manifest.json"))
    verb = with_fetched(read_verb("eval", ["--agent", "hf:me/agent@v1", "--out", "hf:o/ut"]))
    assert (verb.agent, verb.out) == (str(tmp_path / "me/agent"), "hf:o/ut")
    words = ("--data", "hf:me/s2", "runs/s2", "--start", "hf:me/base", "--out", "o")
    verb = with_fetched(read_verb("train", [*words]))
    assert (verb.data, verb.start) == ((str(tmp_path / "me/s2"), "runs/s2"), str(tmp_path / "me/base"))
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        Dataset("hf:me/s2")


def _folder(path, name):
    path.mkdir(parents=True, exist_ok=True)
    (path / name).touch()
    return path


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("--push", "'' is no repository's id"),
        ("--push --repo-id me/agent", "nobody is logged in to the hub"),
        ("--private", "give both"),
        ("--repo-id me", "'me' is no repository's id"),
        ("--repo-id hf:me/agent", "'hf:me/agent' is no repository's id"),
        ("--datasets s2", "'s2' is no repository's id"),
        ("--license MIT:x", "licence 'MIT:x'"),
        ("--agent DATA", "agent.json is missing"),
    ],
)
def test_what_cannot_be_given_away_is_told_before_anything_is_written(
    made, tmp_path, monkeypatch, capsys, words, wrong
):
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    given = words.replace("DATA", str(made.data)).split()
    assert main(["publish", "--agent", str(made.agent), "--out", str(tmp_path / "out"), *given]) == 2
    assert wrong in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_verb_tells_the_commit_under_which_the_agent_is_found(made, tmp_path, monkeypatch, capsys):
    pushed = []
    monkeypatch.setattr("huggingface_hub.get_token", lambda: TOKEN)
    monkeypatch.setattr("rig.hub.push", lambda *given, **named: pushed.append((given, named)) or commit_of(1))
    words = ("--repo-id", "me/agent", "--push", "--private")
    assert main(["publish", "--agent", str(made.agent), "--out", str(tmp_path / "out"), *words]) == 0
    assert f'rig.load_agent("me/agent@{commit_of(1)}")' in capsys.readouterr().out
    assert pushed == [((tmp_path / "out", "me/agent"), {"private": True})]
