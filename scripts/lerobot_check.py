"""Has the lerobot package read what we export, and has us import what it writes; every column and frame is compared.

    sh scripts/lerobot.sh PYTHON VERSION          which is what `make lerobot` runs

The last line is the counts of what was compared, as JSON; whatever differs ends it with an AssertionError.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from makers import make_data

from rig.actions import MINERL
from rig.data import Dataset, build_exporter
from rig.data.lerobot.steps import PICTURE
from rig.data.video import Video
from rig.stages import RehearseConfig, import_dataset, rehearse

CAMERA = "observation.images.main"
OTHER_CAMERA = "observation.images.front"
NAMES = ("forward", "attack", "camera.pitch", "camera.yaw")
LENGTHS = (7, 12, 5)
SIZE = (64, 96)
FPS = 30


def main() -> int:
    """Compare both ways; return the exit status."""
    warnings.simplefilter("ignore")
    prepare_torchvision()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        os.environ |= {"HF_HOME": str(root / "hub"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
        found = {"ours": read_ours(root / "ours"), "theirs": read_theirs(root / "theirs")}
    print(json.dumps(found))
    return 0


def prepare_torchvision() -> None:
    """Say what an operator of torchvision is called: its build for CUDA beside a PyTorch for the CPU has not got it.

    Its image transforms and its video reader are plain Python, and nothing else of it is used here.
    """
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def read_ours(root: Path) -> dict[str, Any]:
    """Export real episodes with dreams and reviews, have lerobot open them, and compare; return the counts."""
    rehearse(make_data(root, episodes=4), RehearseConfig(), root / "s4")
    dataset = Dataset(root / "s4")
    report = build_exporter("lerobot", {"fps": 10}).export(dataset, root / "out")
    steps = [step for trajectory in dataset for step in trajectory.steps]
    opened = open_theirs(root / "out")
    assert (len(opened), opened.num_episodes, opened.fps) == (len(steps), len(dataset), 10)
    compare_frames(opened, root / "out", CAMERA)
    space = dataset.info.action_space
    for item, step in zip(opened, steps, strict=True):
        assert item["task"] == step.instruction
        assert item["rig.action"] == space.format(step.action)
        assert item["rig.thought"] == (step.thought or "")
        assert item["rig.review"] == ((step.review and step.review.thought) or "")
        assert json.loads(item["rig.facts"]) == step.privileged
        assert len(json.loads(item["rig.dreams"])) == len(step.dreams)
        assert [bool(part) for part in item["action"]] == [key in step.action.keys for key in space.keys]
        assert float(item["next.reward"]) == step.reward
    batch = next(iter(torch.utils.data.DataLoader(opened, batch_size=len(steps))))
    assert batch[CAMERA].shape == (len(steps), 3, *dataset.info.frame_size)
    pictures = open_theirs(root / "out" / "pictures")
    assert len(pictures) == report.pictures
    compare_frames(pictures, root / "out" / "pictures", PICTURE)
    compare_statistics(opened, root / "out")
    return {"episodes": len(dataset), "steps": len(steps), "pictures": len(pictures), "loss": asdict(report)["loss"]}


def open_theirs(root: Path) -> Any:
    """Return the dataset in `root`, opened by lerobot."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("a/b", root=root, video_backend="pyav")


def compare_frames(opened: Any, root: Path, key: str) -> None:
    """Assert that lerobot finds, by their times, the frames that the video has one after the other."""
    with Video(root / "videos" / key / "chunk-000" / "file-000.mp4") as video:
        frames = list(video.frames())
    assert len(frames) == len(opened)
    for item, frame in zip(opened, frames, strict=True):
        found = (item[key].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        assert np.array_equal(found, frame), f"{key}: a frame differs"


def compare_statistics(opened: Any, root: Path) -> None:
    """Assert that our statistics have the names and shapes of lerobot's, and its values where both look at all."""
    from lerobot.datasets.compute_stats import compute_episode_stats
    from lerobot.datasets.utils import load_stats

    ours = load_stats(root)
    columns = {name: np.array(opened.hf_dataset.with_format("numpy")[name]) for name in ("action", "timestamp")}
    theirs = compute_episode_stats(columns, {name: opened.features[name] for name in columns})
    for name, parts in theirs.items():
        assert parts.keys() == ours[name].keys()
        for part in ("min", "max", "mean", "std", "count"):
            assert ours[name][part].shape == parts[part].shape
            assert np.allclose(ours[name][part], parts[part], atol=1e-5), f"{name}: {part} differs"


def read_theirs(root: Path) -> dict[str, Any]:
    """Have lerobot write episodes, import them, and compare; return the counts."""
    random = np.random.default_rng(0)
    episodes = [actions_of(random, count) for count in LENGTHS]
    write_theirs(root / "in", episodes)
    dataset = import_dataset(root / "in", "lerobot", root / "out")
    frames = [item[OTHER_CAMERA] for item in open_theirs(root / "in")]
    steps = [step for trajectory in dataset for step in trajectory.steps]
    assert [len(trajectory.steps) for trajectory in dataset] == list(LENGTHS)
    for step, frame in zip(steps, frames, strict=True):
        assert np.array_equal(step.frame, (frame.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
    for number, (trajectory, vectors) in enumerate(zip(dataset, episodes, strict=True)):
        assert trajectory.task == f"task {number % 2}"
        for step, vector in zip(trajectory.steps, vectors, strict=True):
            assert step.action.keys == {name for name, value in zip(NAMES[:2], vector, strict=False) if value}
        turned = np.sum([step.action.camera for step in trajectory.steps], 0)
        assert np.abs(turned - vectors[:, 2:].sum(0)).max() <= MINERL.camera.step / 2
    return {"episodes": len(dataset), "steps": len(steps)}


def actions_of(random: np.random.Generator, count: int) -> np.ndarray:
    """Return random actions: two keys, two turns in degrees."""
    pressed, turns = random.integers(0, 2, (count, 2)), random.normal(0, 7, (count, 2))
    return np.concatenate([pressed, turns], 1).astype(np.float32)


def write_theirs(root: Path, episodes: list[np.ndarray]) -> None:
    """Have lerobot write a dataset with these actions, its frames moving stripes."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    features = {
        OTHER_CAMERA: {"dtype": "video", "shape": (*SIZE, 3), "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": (len(NAMES),), "names": list(NAMES)},
    }
    made = LeRobotDataset.create("a/b", fps=FPS, features=features, root=root)
    for number, vectors in enumerate(episodes):
        for step, vector in enumerate(vectors):
            frame = np.zeros((*SIZE, 3), np.uint8)
            frame[:, (8 * step) % SIZE[1] :, number] = 200
            made.add_frame({OTHER_CAMERA: frame, "action": vector, "task": f"task {number % 2}"})
        made.save_episode()
    made.finalize()


if __name__ == "__main__":
    sys.exit(main())
