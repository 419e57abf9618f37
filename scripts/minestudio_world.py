"""Part of `minestudio_check`: our world over the package itself, whose game is the one of `minestudio_game`."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from minecraft_makers import first_on_path, hold, program, put_jar
from minestudio_game import GameServer
from minestudio_package import doubles

from rig.actions import MINERL, Action
from rig.envs.minecraft.facts import read_facts
from rig.envs.minecraft.minestudio import MineStudioWorld
from rig.envs.minecraft.progress import _EARTH, _TUFTS, SAMPLES, Progress
from rig.envs.minecraft.tasks import Spawn, commands, stacks
from rig.envs.minecraft.world import MinecraftConfig
from rig.errors import SimulatorError
from rig.teachers.minecraft import VPTConfig, VPTTeacher, _image

TICKS = 40
DOWNLOADED = "reference_video"
"""What a task file may name that MineStudio would fetch, and ask about, when it reads it."""
VERSION_OF_GAME = "1.16"
EVENTS = {"chop_a_tree": "forest", "break_grass": "plains", "collect_dirt": "plains"}
"""Task whose samples are events that MineStudio's own rewards count -> its biome."""
WOODS = ("oak", "birch", "spruce", "jungle", "acacia", "dark_oak")
TINY = {
    "attention_heads": 2,
    "attention_memory_size": 16,
    "hidsize": 32,
    "img_shape": [128, 128, 3],
    "impala_chans": [2, 2, 2],
    "impala_kwargs": {"post_pool_groups": 1},
    "impala_width": 1,
    "init_norm_kwargs": {"batch_norm": False, "group_norm_groups": 1},
    "n_recurrence_layers": 1,
    "recurrence_type": "transformer",
    "timesteps": 8,
    "use_pointwise_layer": True,
    "pointwise_ratio": 1,
    "pointwise_use_activation": False,
    "use_pre_lstm_ln": False,
}
"""A network as VPT's, but for its size."""


def compare(root: Path) -> dict[str, Any]:
    """Play, and compare what arrives at the game and what is told of it; return the counts."""
    with served(root) as game:
        found = {"signatures": compare_signatures(), "yaml": read_task_files(), "names": compare_names()}
        found |= {"starts": play_all(game), "commands": compare_commands(game), "rewards": compare_rewards(game)}
        return found | {"policy": play_policy(root), "failures": lose(game)}


@contextmanager
def served(root: Path) -> Iterator[GameServer]:
    """Have a game where MineStudio would start Java's, which it may find here; yield it."""
    from minestudio.simulator.minerl.env._multiagent import _MultiAgentEnv

    game = GameServer()
    root.mkdir()
    put_jar(root / "engine")
    program(root, "java", "echo 'openjdk version \"1.8.0_412\"' >&2")
    program(root, "xvfb-run", "exit 1")
    with pytest.MonkeyPatch.context() as patch:
        first_on_path(patch, root)
        patch.setenv("MINESTUDIO_DIR", str(root))
        patch.setattr(_MultiAgentEnv, "_get_new_instance", lambda *_, **__: game)
        try:
            yield game
        finally:
            assert not game.faults, game.faults


def play_all(game: GameServer) -> int:
    """Play the six tasks in both settings, at random: keys, turns, frames and facts arrive; return how many ticks."""
    world, random, ticks = MineStudioWorld(MinecraftConfig(size=64)), np.random.default_rng(0), 0
    for seed, task in enumerate(world.tasks):
        for setting, start in task.starts.items():
            world.reset(seed=seed, options={"task": task.name, "setting": setting})
            assert game.seeds[-1] == seed
            assert f">{start.biome}<" in game.missions[-1]
            assert game.chats == commands(start.inventory)
            assert world.privileged()["inventory"] == dict(start.inventory)
            assert world.keys == set(MINERL.keys) - {"drop", "ESC"}
            for _ in range(TICKS):
                step_at_random(world, game, random)
                ticks += 1
    world.close()
    return ticks


def step_at_random(world: MineStudioWorld, game: GameServer, random: np.random.Generator) -> None:
    """Play a tick and compare it at both ends."""
    keys = {key for key in MINERL.keys if random.random() < 0.2 and key != "inventory"}
    turn = random.uniform(-30, 30, 2).astype(np.float32)
    _, _, _, _, info = world.step({**dict.fromkeys(keys, 1), "camera": turn})
    assert "engine_failed" not in info, info
    assert info["ignored_keys"] == sorted(keys & {"drop", "ESC"})
    pressed, turned = game.pressed[-1]
    assert pressed == keys - {"drop", "ESC"}
    assert np.allclose(turned, turn, atol=1e-4)
    assert np.array_equal(world.native_frame, game.game.frame())
    facts, played = world.privileged(), game.game
    assert facts["position"] == [played.x, played.y, played.z]
    assert (facts["yaw"], facts["pitch"]) == (played.yaw, played.pitch)
    held = Counter()
    for item, count in played.slots:
        held[item] += count
    assert facts["inventory"] == {item: count for item, count in held.items() if item != "air"}


def compare_commands(game: GameServer) -> int:
    """Have MineStudio give each start's inventory itself, and compare the commands; return how many."""
    from minestudio.simulator.callbacks import CommandsCallback, InitInventoryCallback, TaskCallback

    count = 0
    for task in MineStudioWorld.tasks:
        for start in task.starts.values():
            slots = [
                {"slot": slot, "type": item, "quantity": number}
                for slot, (item, number) in enumerate(stacks(start.inventory))
            ]
            told = {"name": task.name, "text": task.instruction}
            given = [CommandsCallback(commands(start.inventory))] if slots else []  # without any it fails
            given.append(TaskCallback([told]))  # behind the commands, which make the observation anew
            sim, obs, _ = simulator(game, start, given)
            assert obs["task"] == told
            assert game.chats == commands(start.inventory)
            sim.close()
            if slots:
                theirs = recorded(InitInventoryCallback(slots))
                assert [one.replace("weapon.mainhand", "hotbar.0") for one in theirs] == game.chats
            count += len(slots)
    return count


def recorded(callback: Any) -> list[str]:
    """Return the commands that a callback gives in a reset."""
    found: list[str] = []

    class Environment:
        def execute_cmd(self, command: str) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
            found.append(command)
            return {"inventory": {}}, 0.0, False, {}

        def noop_action(self) -> dict[str, Any]:
            return {}

        def step(self, action: Any) -> tuple[dict[str, Any], float, bool, dict[str, Any]]:
            return {"inventory": {}}, 0.0, False, {}

    class Simulator:
        env = Environment()

        def _wrap_obs_info(self, obs: Any, info: Any) -> tuple[Any, Any]:
            return obs, info

    callback.after_reset(Simulator(), {}, {})
    return found


def simulator(game: GameServer, start: Spawn, given: list[Any]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Return MineStudio's simulator with callbacks, and what its reset told."""
    from minestudio.simulator import MinecraftSim

    sim = MinecraftSim(action_type="env", obs_size=(64, 64), seed=3, preferred_spawn_biome=start.biome, callbacks=given)
    return sim, *sim.reset()


def compare_rewards(game: GameServer) -> dict[str, int]:
    """Compare what MineStudio's rewards count with our samples of the same play; return the samples."""
    from minestudio.simulator.callbacks import RewardsCallback

    found = {}
    for name, biome in EVENTS.items():
        meant = sorted(meant_by(name))
        reward = {"event": "mine_block", "objects": meant, "reward": 1.0, "identity": name, "max_reward_times": 100}
        sim, _, info = simulator(game, Spawn(limit=1, biome=biome), [RewardsCallback([reward])])
        progress, rewards = Progress.begin(read_facts(info)), 0.0
        for tick in range(30):
            pitch = 80.0 if name == "collect_dirt" and tick == 0 else 0.0
            turn = np.array([pitch, 0], np.float32)
            noop = dict.fromkeys(sim.action_space.spaces, 0)
            _, got, _, _, info = sim.step({**noop, "attack": 1, "camera": turn})
            progress.note(read_facts(info))
            rewards += got
        sim.close()
        found[name] = SAMPLES[name](progress)
        assert found[name] == rewards == 10, (name, found, rewards)
    return found


def meant_by(task: str) -> set[str]:
    """Return the blocks of the game that a task counts."""
    import minecraft_data

    blocks = set(minecraft_data(VERSION_OF_GAME).blocks_name)
    kinds = {"break_grass": _TUFTS, "collect_dirt": _EARTH}
    return {name for name in blocks if name.endswith("_log")} if task == "chop_a_tree" else set(kinds[task]) & blocks


def compare_names() -> dict[str, int]:
    """Assert that our tasks name items and blocks of the game, in stacks that it has; return how many."""
    import minecraft_data

    known = minecraft_data(VERSION_OF_GAME)
    for task in MineStudioWorld.tasks:
        for start in task.starts.values():
            for item, count in stacks(start.inventory):
                assert count <= known.items_name[item]["stackSize"], item
            assert start.biome in {biome["name"] for biome in known.biomes.values()}
    for kind in _TUFTS | _EARTH:
        assert kind in known.blocks_name, kind
    assert {f"{wood}_log" for wood in WOODS} <= meant_by("chop_a_tree")
    return {"blocks": len(_TUFTS | _EARTH), "logs": len(meant_by("chop_a_tree"))}


def read_task_files() -> int:
    """Have MineStudio read the task files that come with it; return how many, each of commands and a text."""
    import minestudio
    from minestudio.benchmark.utility.read_conf import convert_yaml_to_callbacks
    from minestudio.simulator.callbacks import CommandsCallback, TaskCallback, load_callbacks_from_config

    paths = sorted((Path(minestudio.__file__).parent / "benchmark" / "task_configs").rglob("*.yaml"))
    for path in paths:
        given, task = convert_yaml_to_callbacks(str(path))
        assert CommandsCallback.create_from_conf(str(path)).commands == given
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        told = {name: value for name, value in said.items() if name != DOWNLOADED}
        loaded = [one for one in load_callbacks_from_config(told) if isinstance(one, CommandsCallback)]
        assert [one.commands for one in loaded] == [given]
        assert all(isinstance(one, str) and one.strip() for one in given), path
        assert TaskCallback([task]).after_reset(None, {}, {})[0]["task"]["text"].strip(), path
    return len(paths)


def lose(game: GameServer) -> dict[str, str]:
    """Have the game hang up in a step and in a start: our world says so in one sentence, and plays on; return those."""
    world, said = MineStudioWorld(MinecraftConfig(size=64)), {}
    world.reset(seed=1, options={"task": "dig_down", "setting": "manual"})
    game.hangs_up = True
    _, _, terminated, truncated, info = world.step({"attack": 1})
    assert (terminated, truncated) == (False, True)
    said["step"] = info["engine_failed"]
    game.hangs_up = True
    with pytest.raises(SimulatorError) as caught:
        world.reset(seed=2)
    said["start"] = str(caught.value)
    world.reset(seed=3)
    hold(world, 3, "attack", camera=(10, 0))
    assert game.seeds[-1] == 3
    world.close()
    return said


def play_policy(root: Path) -> dict[str, Any]:
    """Have MineStudio's own VPT, with weights of no worth, play our world as a teacher; return what it did."""
    from minestudio.models import VPTPolicy
    from safetensors.torch import save_file

    torch.manual_seed(0)
    folder = root / "vpt"
    folder.mkdir()
    save_file(VPTPolicy(policy_kwargs=TINY).state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"policy_kwargs": TINY}), encoding="utf-8")
    played = [play_taught(str(folder)) for _ in range(2)]
    assert played[0] == played[1], "the same seeds decide alike"
    pressed = {key for action in played[0] for key in action.keys}
    assert len(pressed) > 5
    return {"ticks": TICKS, "keys": len(pressed), "turns": sum(any(action.camera) for action in played[0])}


def play_taught(weights: str) -> list[Action]:
    """Play an episode by a teacher, and compare what it makes of its network's choices with what MineStudio would."""
    world, teacher = MineStudioWorld(MinecraftConfig(size=64)), VPTTeacher(VPTConfig(weights=weights))
    world.reset(seed=5, options={"task": "go_explore", "setting": "manual"})
    sim = world._engine._sim
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    seen = sim._wrap_obs_info({"pov": noise}, {})[0]["image"]
    assert np.abs(seen.astype(int) - _image(noise)[0, 0].numpy()).max() <= 1
    chosen, decide, actions, left = [], teacher.network.get_action, [], np.zeros(2)

    def get_action(*given: Any, **options: Any) -> Any:
        found = decide(*given, **options)
        chosen.append({name: value.reshape(1, 1).clone() for name, value in found[0].items()})
        return found

    teacher.network.get_action = get_action
    for _ in range(TICKS):
        actions.append(teacher.act(world))
        theirs = sim.agent_action_to_env_action(chosen[-1])
        assert actions[-1].keys == {key for key in world.keys if theirs[key].item()}
        left += np.ravel(theirs["camera"]) - actions[-1].camera
        assert np.abs(left).max() <= MINERL.camera.step / 2 + 1e-9
        info = world.act(actions[-1])[-1]
        assert not info["ignored_keys"]
        assert "engine_failed" not in info
    world.close()
    return actions


def compare_signatures() -> int:
    """Assert that the package takes what the tests' doubles take, by the same names and defaults; return how many.

    A double may name fewer, where it refuses the rest.
    """
    from minestudio.models import SteveOnePolicy, VPTPolicy
    from minestudio.simulator import MinecraftSim
    from minestudio.utils.vpt_lib.action_mapping import CameraHierarchicalMapping
    from minestudio.utils.vpt_lib.actions import ActionTransformer

    sim, policies = doubles()["simulator"].MinecraftSim, doubles()["models"]
    mapping = doubles()["utils.vpt_lib.action_mapping"].CameraHierarchicalMapping
    transformer = doubles()["utils.vpt_lib.actions"].ActionTransformer
    same = [
        (sim, MinecraftSim, ("__init__", "reset", "step", "close")),
        (policies.VPTPolicy, VPTPolicy, ("get_action",)),
        (policies.SteveOnePolicy, SteveOnePolicy, ("get_action", "prepare_condition")),
        (mapping, CameraHierarchicalMapping, ("to_factored", "from_factored")),
        (transformer, ActionTransformer, ("policy2env", "env2policy")),
    ]
    compared = [(getattr(one, name), getattr(other, name)) for one, other, names in same for name in names]
    for ours, theirs in compared:
        assert parameters(ours) == {name: parameters(theirs)[name] for name in parameters(ours)}, (ours, theirs)
    assert parameters(sim.__init__).keys() == parameters(MinecraftSim.__init__).keys()
    assert set(parameters(transformer.__init__)) == set(parameters(ActionTransformer.__init__))
    return len(compared)


def parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's parameters and their defaults, what is empty as None."""
    found = inspect.signature(function).parameters.values()
    return {one.name: one.default if one.default not in ((), [], {}) else None for one in found}
