"""A double of `minestudio.utils.vpt_lib.actions`: the buttons in their order, and VPT's camera."""

import numpy as np
from fake_minecraft import refuse

ALL = (
    *("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory"),
    *(f"hotbar.{slot}" for slot in range(1, 10)),
)


class ActionTransformer:
    def __init__(self, camera_maxval, camera_binsize, camera_quantization_scheme, camera_mu):
        given = (camera_maxval, camera_binsize, camera_quantization_scheme, camera_mu)
        refuse(given != (10, 2, "mu_law", 10.0), f"VPT's camera is another one: {given}")

    def policy2env(self, acs):
        refuse(acs["buttons"].shape[-1] != len(ALL), f"buttons of shape {acs['buttons'].shape}")
        angles = (acs["camera"] * 2 - 10) / 10
        degrees = 10 * np.sign(angles) * (11 ** np.abs(angles) - 1) / 10
        return {**{name: acs["buttons"][..., index] for index, name in enumerate(ALL)}, "camera": degrees}

    def env2policy(self, acs):
        angles = np.clip(acs["camera"], -10, 10) / 10
        wide = np.sign(angles) * np.log(1 + 10 * np.abs(angles)) / np.log(11)
        nothing = np.zeros(len(acs["camera"]))
        buttons = np.stack([acs.get(name, nothing) for name in ALL], axis=-1)
        return {"buttons": buttons, "camera": np.round((wide * 10 + 10) / 2).astype(np.int64)}
