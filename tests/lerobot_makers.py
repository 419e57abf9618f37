"""LeRobotDatasets v3 as others make them: a camera, a vector with names, tasks; and where their files lie."""

import numpy as np

from rig.data.lerobot.layout import Feature
from rig.data.lerobot.steps import camera_feature
from rig.data.lerobot.writing import Episode, LeRobotWriter
from rig.data.video_encoding import LOSSLESS

NAMES = ("forward", "attack", "camera.pitch", "camera.yaw")
CAMERA = "observation.images.front"
DATA = "data/chunk-000/file-000.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
VIDEO = f"videos/{CAMERA}/chunk-000/file-000.mp4"


def pixels(count, seed=0, size=8):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def vectors(count, seed=0, names=NAMES):
    random = np.random.default_rng(seed)
    turns = [name.startswith("camera.") for name in names]
    pressed = random.integers(0, 2, (count, len(names)))
    return np.where(turns, random.integers(-70, 70, (count, len(names))) / 7, pressed).astype(np.float32)


def episode(count, seed=0, names=NAMES, task="chop a tree", rewards=None):
    frames, actions = pixels(count, seed), vectors(count, seed, names)

    def steps():
        for number in range(count):
            row = {"action": actions[number]}
            if rewards:
                row |= {"next.reward": rewards[number], "next.success": rewards[number] > 0}
            yield frames[number], task, row

    return Episode(length=count, steps=steps, frames=lambda: iter(frames))


def write_others(root, lengths=(3, 5), names=NAMES, called=None, rewards=False, encoding=LOSSLESS):
    """Write a dataset; `called` are the names that it gives the parts of its actions."""
    action = Feature(dtype="float32", shape=(len(names),), names=list(names) if called is None else called)
    features = {CAMERA: camera_feature((8, 8)), "action": action}
    if rewards:
        features |= {
            "next.reward": Feature(dtype="float32", shape=(1,)),
            "next.success": Feature(dtype="bool", shape=(1,)),
        }
    writer = LeRobotWriter(root, features, CAMERA, fps=30, encoding=encoding, robot_type="so100")
    given = [[0.0] * (count - 1) + [float(seed)] if rewards else None for seed, count in enumerate(lengths)]
    tasks = ["chop a tree", "dig down"]
    writer.write(episode(count, seed, names, tasks[seed % 2], given[seed]) for seed, count in enumerate(lengths))
    return root
