"""A double of `minestudio.utils.vpt_lib.action_mapping`: VPT's 8641 combinations of buttons, and 121 of the camera."""

from itertools import product

import numpy as np
from fake_minecraft import refuse

from minestudio.utils.vpt_lib.actions import ALL

GROUPS = (
    ("", *(f"hotbar.{slot}" for slot in range(1, 10))),
    ("", "forward", "back"),
    ("", "left", "right"),
    ("", "sprint", "sneak"),
    *(("", name) for name in ("use", "drop", "attack", "jump", "camera")),
)
COMBINATIONS = [frozenset(one) - {""} for one in product(*GROUPS)] + [frozenset({"inventory"})]
BINS = 11
NULL = BINS // 2


class CameraHierarchicalMapping:
    def __init__(self, n_camera_bins=BINS):
        refuse(n_camera_bins != BINS, f"VPT has {BINS} bins, not {n_camera_bins}")

    def to_factored(self, ac):
        for name in ("buttons", "camera"):
            refuse(not isinstance(ac[name], np.ndarray), f"{name} is no array of numpy's")
            refuse(ac[name].shape[-1] != 1 or ac[name].ndim != 2, f"{name} has shape {ac[name].shape}, not [B, 1]")
        chosen = [COMBINATIONS[index] for index in ac["buttons"][:, 0]]
        buttons = np.array([[int(name in one) for name in ALL] for one in chosen])
        camera = np.array([divmod(int(index), BINS) for index in ac["camera"][:, 0]])
        camera[[not one & {"camera", "inventory"} for one in chosen]] = NULL  # beside a menu it is not switched off
        return {"buttons": buttons, "camera": camera}

    def from_factored(self, ac):
        buttons, camera = [], []
        for pressed, turn in zip(ac["buttons"], ac["camera"], strict=True):
            names = {name for name, value in zip(ALL, pressed, strict=True) if value}
            alone = "inventory" in names
            turned = {"camera"} if tuple(turn) != (NULL, NULL) else set()
            buttons.append([COMBINATIONS.index(frozenset({"inventory"} if alone else names | turned))])
            camera.append([NULL * BINS + NULL if alone else int(turn[0]) * BINS + int(turn[1])])
        return {"buttons": np.array(buttons), "camera": np.array(camera)}
