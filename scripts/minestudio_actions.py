"""Part of `minestudio_check`: keys, buttons and the camera, as MineStudio maps them and as we do."""

from __future__ import annotations

from typing import Any

import numpy as np
from minestudio_package import doubles

from rig.actions import MINERL
from rig.data.importers.vpt_lines import BUTTONS, DEGREES_PER_PIXEL, KEYS, MENU_SCALES
from rig.envs.minecraft.keys import CAMERA, Pressed
from rig.teachers.minecraft import _CAMERA, _CAMERA_BINS

COMBINATIONS, TURNS = 8641, 121
BATCH = 2000


def compare() -> dict[str, int]:
    """Compare names, all that VPT can press, all its turns, and random actions to and fro; return the counts."""
    compare_names()
    return {"buttons": compare_joint(), "turns": compare_turns(), "round trips": compare_round_trips()}


def compare_names() -> None:
    """Assert that keys and numbers that both write down are the same."""
    from minestudio.data.minecraft.tools import process_all_openai as recordings
    from minestudio.simulator.entry import CameraConfig
    from minestudio.utils.vpt_lib import action_translator
    from minestudio.utils.vpt_lib.actions import Buttons

    assert set(Buttons.ALL) == set(MINERL.keys) - {"ESC"}
    assert tuple(Buttons.ALL) == doubles()["utils.vpt_lib.actions"].ALL
    for theirs in (recordings, action_translator):
        assert {f"key.keyboard.{key}": name for key, name in KEYS.items()} == theirs.KEYBOARD_BUTTON_MAPPING
        assert theirs.CAMERA_SCALER == DEGREES_PER_PIXEL
        assert set(theirs.NOOP_ACTION) == {*KEYS.values(), *BUTTONS.values(), CAMERA}
    assert recordings.MINEREC_VERSION_SPECIFIC_SCALERS == MENU_SCALES
    assert CameraConfig().action_transformer_kwargs == _CAMERA
    assert CameraConfig().n_camera_bins == _CAMERA_BINS


def mappings() -> list[tuple[Any, Any]]:
    """Return MineStudio's mapping and transformer, and those of the tests' double."""
    from minestudio.utils.vpt_lib.action_mapping import CameraHierarchicalMapping
    from minestudio.utils.vpt_lib.actions import ActionTransformer

    mapping, transformer = doubles()["utils.vpt_lib.action_mapping"], doubles()["utils.vpt_lib.actions"]
    return [
        (CameraHierarchicalMapping(n_camera_bins=_CAMERA_BINS), ActionTransformer(**_CAMERA)),
        (mapping.CameraHierarchicalMapping(n_camera_bins=_CAMERA_BINS), transformer.ActionTransformer(**_CAMERA)),
    ]


def compare_joint() -> int:
    """Have both make keys and turns of each combination of buttons with a turn, and go back; return how many."""
    random = np.random.default_rng(0)
    joint = {
        "buttons": np.arange(COMBINATIONS)[:, None],
        "camera": np.concatenate([np.arange(TURNS), random.integers(0, TURNS, COMBINATIONS - TURNS)])[:, None],
    }
    found = []
    for mapping, transformer in mappings():
        factored = mapping.to_factored({name: values.copy() for name, values in joint.items()})
        back = mapping.from_factored(factored)
        found.append((factored, back, transformer.policy2env(factored)))
    for ours, theirs in zip(found[1], found[0], strict=True):
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert np.allclose(ours[name], values, rtol=0, atol=1e-12), name
    return COMBINATIONS


def compare_turns() -> int:
    """Have both find the bin of many turns, also wider ones than VPT's, and the turn of each; return how many."""
    turns = np.concatenate([np.linspace(-12, 12, 24_001), [-180, 180]])
    pairs = np.stack([turns, turns[::-1]], 1)
    bins = [
        transformer.env2policy({"attack": np.zeros(len(pairs)), "camera": pairs})["camera"]
        for _, transformer in mappings()
    ]
    assert np.array_equal(*bins)
    assert set(bins[0].ravel().tolist()) == set(range(_CAMERA_BINS))
    return len(turns)


def compare_round_trips() -> int:
    """Have an engine's mapping of our actions go to VPT's choice and back: the keys stay, and turns of its bins."""
    mapping, transformer = mappings()[0]
    random = np.random.default_rng(1)
    chosen = {
        "buttons": random.integers(0, COMBINATIONS - 1, (BATCH, 1)),
        "camera": random.integers(0, TURNS, (BATCH, 1)),
    }
    columns = transformer.policy2env(mapping.to_factored({name: values.copy() for name, values in chosen.items()}))
    for row in range(BATCH):
        keys = frozenset(key for key in MINERL.keys if key in columns and columns[key][row])
        turn = tuple(columns["camera"][row].tolist())
        given = Pressed(keys, turn).over(dict.fromkeys([*MINERL.keys, CAMERA], 0))
        batch = {name: np.asarray(value)[None] for name, value in given.items()}
        back = transformer.policy2env(mapping.to_factored(mapping.from_factored(transformer.env2policy(batch))))
        assert {key for key in back if key != CAMERA and back[key][0]} == keys
        assert np.allclose(back[CAMERA][0], turn, atol=1e-5)
    return BATCH
