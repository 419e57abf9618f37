"""STEVE-1 and VPT as teachers, and the stages of RIG in Minecraft, over the strict doubles."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from minecraft_makers import SMALL, WORLDS, in_cache, installed, weights, without_modules
from test_data_roundtrip import info_for, write

from rig.actions import MINERL, NOOP, Action
from rig.agents.checkpoint import AgentCheckpoint
from rig.annotators.kit import build_teacher, world_of_teacher
from rig.cli.doctor import examine
from rig.cli.main import main
from rig.data import Dataset
from rig.dialogue import PromptFormat, train_bpe
from rig.envs import MANUAL, TOOL, make_world
from rig.envs.crafter.world import CrafterWorld
from rig.envs.rollout import Episode
from rig.errors import MissingDependencyError, RigError
from rig.evaluate.chains import Chain
from rig.evaluate.outcomes import action_agreement, outcomes_of
from rig.model import PRESETS, RIG
from rig.recipes.dataset_card import write_dataset_card
from rig.records import NOISE, TEACHER, fake_step, fake_trajectory
from rig.teachers.minecraft import weights_folder
from rig.train.tokenizers import text_atoms

HUB = "CraftJarvis/MineStudio_STEVE-1.official"


@pytest.fixture(params=tuple(WORLDS))
def world(request, tmp_path):
    """Both worlds over their doubles; the policies are MineStudio's in either."""
    with installed(tmp_path / "site", *{"minestudio", request.param}):
        made = WORLDS[request.param](SMALL)
        yield made
        made.close()


@pytest.fixture
def studio(tmp_path):
    with installed(tmp_path / "site", "minestudio") as patch:
        yield patch


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """An untrained agent of MineStudio's world."""
    folder, config = tmp_path_factory.mktemp("agent"), PRESETS.get("debug")
    text = train_bpe([], vocabulary_size=config.decoder.vocab_size, atoms=text_atoms(MINERL))
    made = {"model": RIG(config, seed=0), "tokenizer": text, "prompt_format": PromptFormat(), "space": MINERL}
    AgentCheckpoint(**made, environment="minestudio").save(folder)
    return str(folder)


def steve(folder, **options):
    where = folder / "steve1"
    return build_teacher("steve1", {"weights": str(where) if where.exists() else weights(where), **options})


def begin(world, task="chop_a_tree", setting=TOOL, seed=3):
    world.reset(seed=seed, options={"task": task, "setting": setting})


def rig(capsys, *words):
    capsys.readouterr()
    status = main([str(word) for word in words])
    return status, *capsys.readouterr()


def result(capsys, *words):
    status, out, err = rig(capsys, *words, "--json")
    assert status == 0, err
    return json.loads(out)


def test_steve_is_told_the_task_and_accomplishes_it(world, tmp_path):
    teacher = steve(tmp_path)
    begin(world, "dig_down")
    steps = 0
    ended = False
    while not ended:
        *_, ended, _, info = world.act(teacher.act(world))
        steps += 1
        assert info["ignored_keys"] == []
    assert (info["success"], steps) == (True, 18), "two blocks of grass before the ground is in view"
    assert teacher.network.texts == ["dig down"], "encoded once an episode"


def test_a_slow_turn_is_kept_on_the_grid(world, tmp_path):
    teacher = steve(tmp_path)
    begin(world)
    start = world.privileged()["yaw"]
    actions = [teacher.act(world) for _ in range(11) if world.act(NOOP)]
    turned = [action.camera for action in actions]
    assert sorted(set(turned)) == [(0, 0), (0, 5)]
    assert sum(yaw for _, yaw in turned) == 5, "eleven turns by 0.615 degrees are 6.8, which is nearest to 5"
    assert start == world.privileged()["yaw"], "the teacher changed nothing"
    begin(world)
    assert teacher.act(world).camera == (0, 0), "what was left over is not of the next episode"


def test_a_turn_is_pitch_and_yaw_and_keys_are_those_that_the_engine_has(world, tmp_path):
    teacher = steve(tmp_path, text="look down")
    begin(world)
    assert teacher.act(world) == Action.press("sprint", camera=(10, -5))
    told = steve(tmp_path)
    assert told.act(world).keys == {"attack", "drop"} & world.keys


def test_each_world_has_a_memory_of_its_own(studio, tmp_path):
    teacher = steve(tmp_path)
    one, other = (WORLDS["minestudio"](SMALL) for _ in range(2))
    begin(one)
    begin(other, "go_explore")
    for _ in range(3):
        assert teacher.act(one).keys == {"attack"}
        assert teacher.act(other).keys == {"forward"}
    assert teacher.network.texts == ["chop a tree", "go explore"]
    begin(one, "go_explore")
    assert teacher.act(one).keys == {"forward"}
    one.close()
    other.close()


def test_what_is_drawn_follows_from_the_episode_and_nothing_else_is_disturbed(studio, tmp_path):
    world = WORLDS["minestudio"](SMALL)
    begin(world)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, other = (steve(tmp_path) for _ in range(2))
    first.act(world)
    torch.rand(3)
    other.act(world)
    drawn = [one._minds[world].condition["condition"]["mineclip_embeds"] for one in (first, other)]
    assert torch.equal(*drawn)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)
    world.close()


def test_vpt_plays_without_being_told(world, tmp_path):
    teacher = build_teacher("vpt", {"weights": weights(tmp_path / "vpt", "vpt")})
    begin(world, "go_explore", MANUAL)
    assert teacher.act(world) == Action.press("forward")
    assert teacher.name.startswith("vpt vpt@")


def test_the_name_says_which_weights(studio, tmp_path):
    teacher = steve(tmp_path)
    assert teacher.name.startswith("steve1 steve1@")
    assert str(tmp_path) not in teacher.name
    weights(in_cache(tmp_path / "site" / "hub", HUB))
    assert build_teacher("steve1").name == f"steve1 {HUB}@{teacher.name[-8:]}"


def test_missing_weights_are_one_sentence_and_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RigError, match=f"on this machine. Fetch it: hf download {HUB}, or give a folder"):
        weights_folder(HUB)
    with pytest.raises(RigError, match="neither a folder nor"):
        weights_folder("no such/name/at all")
    (tmp_path / "half").mkdir()
    with pytest.raises(RigError, match=r"half holds no config\.json"):
        weights_folder(str(tmp_path / "half"))
    (tmp_path / "half" / "config.json").write_text("{}")
    with pytest.raises(RigError, match=r"half holds no model\.safetensors or pytorch_model\.bin"):
        weights_folder(str(tmp_path / "half"))


def test_weights_of_another_policy_are_refused(studio, tmp_path):
    teacher = build_teacher("steve1", {"weights": weights(tmp_path / "vpt", "vpt")})
    world = WORLDS["minestudio"](SMALL)
    begin(world)
    with pytest.raises(RigError, match=r"steve1 cannot be made of the weights in .*these are weights of vpt"):
        teacher.act(world)
    world.close()


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("steve1", {"weigths": "x"}, "weights"),
        ("steve1", {"cond_scale": -1}, "cond_scale"),
        ("vpt", {"text": "chop"}, "text"),
        ("crafter", {"weights": "x"}, "takes no configuration"),
    ],
)
def test_a_configuration_that_is_none_is_refused(name, config, said):
    with pytest.raises(RigError, match=said):
        build_teacher(name, config)


def test_they_play_minecraft_alone(studio, tmp_path):
    with pytest.raises(RigError, match="steve1 plays Minecraft, and not 'crafter'"):
        steve(tmp_path).act(CrafterWorld())
    with pytest.raises(RigError, match="in the kits of minerl, minestudio; say where"):
        world_of_teacher("steve1")


def test_what_a_policy_lacks_is_said_before_anything_starts(studio, tmp_path, capsys):
    with pytest.raises(RigError, match=f"hf download {HUB}"):
        build_teacher("steve1")
    studio.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RigError, match=r"hf download openai/clip-vit-base-patch16 --include '\*\.json' '\*\.txt'"):
        steve(tmp_path)
    with without_modules():
        studio.undo()
        with pytest.raises(MissingDependencyError, match=r"pip install 'rig-agent\[minestudio\]'"):
            steve(tmp_path)
        words = ("--environment", "minestudio", "--out", tmp_path / "out")
        status, _, err = rig(capsys, "collect", *words)
        assert (status, err.count("\n")) == (2, 1)
        assert "pip install 'rig-agent[minestudio]'" in err
        assert not (tmp_path / "out").exists()


def test_collecting_and_playing_run_whole(studio, tmp_path, capsys, agent):
    words = ("--environment", "minestudio", "--tasks", "dig_down/tool", "--episodes", 2)
    chosen = ("--teacher", "steve1", "--teacher-config", f"weights={weights(tmp_path / 'w')}")
    found = result(capsys, "collect", *words, *chosen, "--noise", 0, "--out", tmp_path / "s1")
    assert (found["trajectories"], found["frame_size"]) == (2, [384, 384])
    dataset = Dataset(tmp_path / "s1")
    dataset.verify()
    for trajectory in dataset:
        assert (trajectory.success, trajectory.samples, len(trajectory.steps)) == (True, 4, 18)
        assert trajectory.lineage.actor.startswith("steve1 w@")
        assert trajectory.steps[0].privileged["inventory"] == {"iron_pickaxe": 1}
        assert {MINERL.format(step.action) for step in trajectory.steps} == {"attack, camera:[10,0]"}
    assert dataset.info.config["teacher_config"] == {"weights": str(tmp_path / "w")}
    again = rig(capsys, "collect", *words, *chosen, "--noise", 0, "--resume", "--out", tmp_path / "s1")
    assert again[0] == 0, again
    noisy = ("--noise", 0.2, "--episodes", 1, "--out", tmp_path / "noisy")
    result(capsys, "collect", *words[:-2], *chosen, *noisy)
    actors = {step.actor for trajectory in Dataset(tmp_path / "noisy") for step in trajectory.steps}
    assert actors == {TEACHER, NOISE}
    played = ("--episodes", 1, "--tasks", "go_explore/manual", "--most-steps", 2, "--out", tmp_path / "eval")
    scores = result(capsys, "eval", "--agent", agent, *played)
    assert scores["episodes"] == 1
    assert scores["cells"]["go_explore/manual"]["steps"]["value"] == 2


def test_a_teacher_is_scored_like_an_agent(studio, tmp_path, capsys):
    weights(in_cache(tmp_path / "site" / "hub", HUB))
    words = ("--environment", "minestudio", "--tasks", "dig_down", "--episodes", 1, "--out", tmp_path / "eval")
    scores = result(capsys, "eval", "--agent", "teacher:steve1", *words)
    assert scores["success"]["value"] == 1
    assert set(scores["cells"]) == {"dig_down/manual", "dig_down/tool"}


@pytest.mark.parametrize(
    ("words", "who"),
    [
        (("review", "--teacher", "vpt", "--reviewer", "crafter"), "reviewing"),
        (("align", "--teacher", "vpt", "--reviewer", "crafter", "--reasoner", "crafter"), "reviewing"),
        (("branch",), "branching"),
        (("eval", "--dreams", 1, "--dreams-from", "true"), "what really comes, in the place of dreams,"),
        (("eval", "--valued", 1), "valuing by a teacher"),
    ],
    ids=lambda part: part if isinstance(part, str) else " ".join(map(str, part[:1] + part[-2:])),
)
def test_what_goes_back_to_states_refuses_to_begin(words, who, tmp_path, capsys, agent):
    verb, *rest = words
    given = (verb, "--agent", agent, "--tasks", "go_explore", "--episodes", 1, *rest, "--out", tmp_path / "out")
    status, out, err = rig(capsys, *given)
    assert (status, out) == (2, ""), err
    assert f"{who} goes back to states of the world, and those of 'minestudio' can be neither saved nor" in err
    assert not (tmp_path / "out").exists() or not any(Path(tmp_path / "out").iterdir())


def test_a_player_beside_a_teacher_and_attempts_midway_refuse_to_begin(tmp_path, capsys, agent):
    words = ("--environment", "minestudio", "--player", agent, "--out", tmp_path / "out")
    status, _, err = rig(capsys, "collect", *words)
    assert status == 2
    assert "a player that a teacher corrects goes back to states" in err
    status, _, err = rig(capsys, "improve", "--agent", agent, "--out", tmp_path / "better")
    assert status == 2
    assert "`rig improve --midway 0` has every attempt begin where the episode does" in err


def test_what_could_have_come_is_what_did_where_nothing_else_can_be_tried():
    world = make_world("minestudio")
    steps = tuple(fake_step(index=index, space=MINERL) for index in range(3))
    chain = Chain(steps=steps, episode=Episode(task="go_explore", setting=MANUAL, seed=1), before=())
    ((first, second),) = outcomes_of(world, [chain])
    assert np.array_equal(first, steps[1].frame[None])
    assert np.array_equal(second, steps[2].frame[None])
    assert action_agreement(first, [first])["action_agreement"] is None, "it counts where something else could come"


def test_recordings_of_minecraft_have_no_seeds_of_ours(tmp_path):
    recorded = replace(fake_trajectory(1), environment="minerl", seed=-5)
    for stage, has_seeds in (("s0", False), ("s1", True)):
        info = info_for(size=32, environment="minerl", stage=stage)
        folder = write(tmp_path / stage, [replace(recorded, seed=-5 if stage == "s0" else 5)], info)
        card = write_dataset_card(folder, "Play").read_text()
        assert ("worlds, seeds" in card) is has_seeds
        assert "Minecraft, which is by Mojang" in card


def test_the_doctor_says_what_each_engine_lacks(studio, tmp_path, monkeypatch):
    for slow in ("_compute", "_packages"):  # they compile and import for seconds
        monkeypatch.setattr(f"rig.cli.doctor.{slow}", lambda: iter(()))
    found = {check["name"]: check for check in examine()}
    assert found["MineStudio world: Java 8"]["ok"]
    assert found["MineStudio world: MineStudio's engine"]["ok"]
    studio.setenv("MINESTUDIO_DIR", str(tmp_path / "elsewhere"))
    found = {check["name"]: check for check in examine()}
    assert "python -m minestudio.simulator.entry -y" in found["MineStudio world: MineStudio's engine"]["mend"]
    assert not (tmp_path / "elsewhere").exists()
    lacking = found["MineRL world: the package minerl 1.0"]
    assert lacking["ok"] or "minerl @ git+https://" in lacking["mend"]


def test_worlds_are_made_without_their_packages():
    for name in WORLDS:
        made = make_world(name)
        assert (made.name, made.step_seconds, made.can_save) == (name, 0.05, False)
        assert np.asarray(made.render()).shape == (384, 384, 3)
        made.close()
