"""Recordings in other people's formats, as those write them: tiny, each with pixels that a test knows."""

import json
from functools import cache

import numpy as np

from rig.data.video_encoding import LOSSLESS, VideoEncoding, encode_video

FPS = 20


@cache
def clip(count, height=12, width=16, seed=0):
    """Return `count` different frames, uint8 [count, height, width, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


@cache
def clip_bytes(count, height=12, width=16, seed=0, encoding=LOSSLESS):
    """Return the same frames as a video."""
    return encode_video(clip(count, height, width, seed), FPS, encoding)


LOSSY = VideoEncoding(crf=10)

MINERL_KEYS = ("forward", "back", "left", "right", "jump", "sneak", "sprint", "attack")


def minerl_arrays(steps=5, sign="$", **changed):
    """Return the arrays of `rendered.npz`: the n-th step walks on, and the second attacks and turns."""
    found = {f"action{sign}{key}": np.zeros(steps, np.int64) for key in MINERL_KEYS}
    found[f"action{sign}forward"][:] = 1
    found[f"action{sign}attack"][1:2] = 1
    camera = np.zeros((steps, 2), np.float32)
    camera[1:2] = (-12.3, 7.4)
    craft = np.array(["none", "planks", *["none"] * steps][:steps])
    found |= {f"action{sign}camera": camera, f"action{sign}craft": craft, "reward": np.zeros(steps, np.float32)}
    found["reward"][2:3] = 1
    found["observation$inventory$dirt"] = np.arange(steps + 1)
    found["observation$inventory$log"] = np.zeros(steps + 1, np.int64)
    return {name: value for name, value in (found | changed).items() if value is not None}


def minerl_meta(steps=5, frames=9, **changed):
    """Return what `metadata.json` says."""
    found = {
        "success": True,
        "duration_ms": steps * 50,
        "duration_steps": steps,
        "total_reward": 1.0,
        "stream_name": "v3_absolute_grape_changeling-6_37339-46767",
        "true_video_frame_count": frames,
    }
    return {name: value for name, value in (found | changed).items() if value is not None}


def minerl_recording(folder, *, arrays=None, meta=None, video=None):
    """Write a recording of five steps, whose video has three frames before the first of its six."""
    folder.mkdir(parents=True)
    (folder / "recording.mp4").write_bytes(clip_bytes(9) if video is None else video)
    np.savez_compressed(folder / "rendered.npz", **(minerl_arrays() if arrays is None else arrays))
    (folder / "metadata.json").write_text(json.dumps(minerl_meta() if meta is None else meta))
    return clip(9)


def vpt_line(number=0, *, keys=(), dx=0.0, dy=0.0, buttons=(), new=(), gui=False, slot=0, at=(640.0, 360.0), **changed):
    """Return a line of an action file, with all that version 7 writes."""
    found = {
        "mouse": {
            "x": at[0],
            "y": at[1],
            "dx": dx,
            "dy": dy,
            "scaledX": at[0] - 640,
            "scaledY": at[1] - 360,
            "dwheel": 0.0,
            "buttons": list(buttons),
            "newButtons": list(new),
        },
        "keyboard": {"keys": [f"key.keyboard.{key}" for key in keys], "newKeys": [], "chars": ""},
        "isGuiOpen": gui,
        "isGuiInventory": gui,
        "hotbar": slot,
        "yaw": -112.35006,
        "pitch": 8.099996,
        "xpos": 841.364694513396,
        "ypos": 63.0,
        "zpos": 24.956354839537802,
        "tick": number,
        "milli": 1649575088006 + 50 * number,
        "inventory": [{"type": "oak_planks", "quantity": 59}, {"type": "oak_planks", "quantity": 64}],
        "serverTick": 6001 + number,
        "serverTickDurationMs": 36.3466,
        "stats": {"minecraft.custom:minecraft.jump": 4},
    }
    return {name: value for name, value in (found | changed).items() if value != "absent"}


def vpt_recording(stem, lines, *, video=None, options=True):
    """Write a recording of these lines, and a frame for each unless a video is given; return the frames."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    stem.with_name(stem.name + ".jsonl").write_text("".join(text + "\n" for text in texts))
    stem.with_name(stem.name + ".mp4").write_bytes(clip_bytes(len(lines)) if video is None else video)
    if options:
        stem.with_name(stem.name + "-options.json").write_text('{"fov": 70, "guiScale": 2}')
    return clip(len(lines))


WALK = ("w",)


def walk(count, **changed):
    """Return lines of somebody who walks on."""
    return [vpt_line(tick, keys=WALK, **changed) for tick in range(count)]
