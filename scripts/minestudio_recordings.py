"""Part of `minestudio_check`: datasets that MineStudio reads of ours, and ours that it wrote of VPT's recordings."""

from __future__ import annotations

import os
import pickle
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from minestudio_makers import facts, write_dataset
from minestudio_package import prepare
from recording_makers import vpt_line, vpt_recording

from rig.actions import MINERL, Action
from rig.data import build_importer
from rig.data.importers.cursor import draw_cursor
from rig.data.importers.vpt_lines import KEYS
from rig.data.video import Video
from rig.data.video_encoding import VideoEncoding, encode_video
from rig.stages import import_dataset

CHUNK = 32
SIZE = (360, 640)
LENGTHS = {
    "cheeky-cornflower-02e496ce4abb-20220421-092639": 70,
    "cheeky-cornflower-02e496ce4abb-20220421-093140": 45,
    "shabby-viridian-beaver-77e4afbc6a3a-20220101-120000": 64,
}
"""Recording -> lines; the first two follow each other, so that MineStudio makes one episode of them."""
WAVES = ((1, 2), (3, -1), (0, 2))
POSE = ("yaw", "pitch", "xpos", "ypos", "zpos")
HALF_BIN = MINERL.camera.step / 2
WORST_PSNR = 30


def compare(root: Path) -> dict[str, Any]:
    """Compare both ways, and how both read the same recordings; return the counts."""
    ours = read_ours(root / "ours")
    recordings = record(root / "vpt")
    process(root / "vpt", root / "theirs", recordings)
    vpt = compare_recordings(root / "vpt", root / "theirs", recordings)
    theirs = compare_converted(root / "theirs", recordings)
    different = compare_differences(root / "different")
    return {"ours": ours, "theirs": theirs, "vpt": vpt, "differences": different}


def read_ours(root: Path) -> dict[str, int]:
    """Have MineStudio read what our tests write, frame by frame; return the counts."""
    from minestudio.data import RawDataset
    from minestudio.data.minecraft.core import KernelManager

    made = write_dataset(root, {"a-episode": 12, "b-episode": 4}, size=32)
    kernels = KernelManager([str(root)], callbacks(32, 32), verbose=False)
    assert dict(kernels.get_episodes_with_length()) == {name: len(frames) for name, (frames, _) in made.items()}
    for name, (frames, columns) in made.items():
        read = kernels.read(name, 0, len(frames), 1)
        assert np.array_equal(read["image"], frames)
        assert read["env_action"].keys() == columns.keys()
        assert all(np.array_equal(read["env_action"][key], values) for key, values in columns.items())
        wanted = facts(len(frames))
        assert read["meta_info"] == {key: [one[key] for one in wanted] for key in wanted[0]}
        assert all(read[f"{kind}_mask"].all() for kind in ("image", "action", "meta_info"))
    window = kernels.read("a-episode", 3, 6, 1)
    assert np.array_equal(window["image"], made["a-episode"][0][3:9]), "a window over the edges of chunks"
    copy = shutil.copytree(root, root.with_name("copy"))  # LMDB opens a file once in a process
    items = RawDataset([str(copy)], callbacks(32, 32), win_len=4, split_ratio=1.0, verbose=False)
    frames = [frame for index in range(len(items)) for frame in items[index]["image"].numpy()]
    assert np.array_equal(frames, np.concatenate([made[name][0] for name in sorted(made)]))
    return {"episodes": len(made), "frames": sum(len(frames) for frames, _ in made.values())}


def callbacks(width: int, height: int) -> list[Any]:
    """Return MineStudio's readers of frames, actions and facts."""
    from minestudio.data.minecraft.callbacks import ActionKernelCallback, ImageKernelCallback, MetaInfoKernelCallback

    return [ImageKernelCallback(width, height), ActionKernelCallback(), MetaInfoKernelCallback()]


def record(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Write recordings as VPT's contractors made them, of random play; return their lines by name."""
    made = {name: play(count, seed) for seed, (name, count) in enumerate(LENGTHS.items())}
    for name, lines in made.items():
        vpt_recording(root / name, lines, video=encode_video(scenery(len(lines)), 20, VideoEncoding(crf=8)))
    return made


def play(count: int, seed: int) -> list[dict[str, Any]]:
    """Return the lines of random play: keys, turns, menus with a moving mouse, slots, attack that is stuck down."""
    random = np.random.default_rng(seed)
    lines, slot, stuck = [], 0, seed == 0
    for tick in range(count):
        gui = 20 <= tick % 40 < 28
        slot = int(random.integers(9)) if random.random() < 0.1 and tick else slot
        stuck = stuck and tick < 6
        pressed = {key for key in KEYS if random.random() < 0.15 and key != "escape"}
        idle = random.random() < 0.3 and not stuck
        buttons = [0] if stuck else [button for button in range(3) if random.random() < 0.2 and not idle]
        dx, dy = (0.0, 0.0) if idle else random.integers(-200, 200, 2).astype(float).tolist()
        place = tuple(random.uniform(40, 600, 2).tolist())
        new = [0] if stuck and not tick else [] if stuck else buttons
        keys = () if idle else sorted(pressed)
        known = {"yaw": tick / 8, "pitch": tick / 16, "xpos": tick * 1.5, "zpos": -2.25 * tick}
        lines.append(vpt_line(tick, keys=keys, dx=dx, dy=dy, buttons=buttons, new=new, gui=gui, slot=slot, at=place))
        lines[-1] |= known | {"inventory": [{"type": "dirt", "quantity": tick + 1}, {"type": "dirt", "quantity": 64}]}
    return lines


def scenery(count: int) -> np.ndarray:
    """Return smooth frames that move, uint8 [count, 360, 640, 3]: a video keeps them well."""
    row, column = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [128 + 60 * np.sin((row * a + column * b) / 40 + np.arange(count)[:, None, None] / 9) for a, b in WAVES]
    return np.stack(waves, -1).astype(np.uint8)


def process(source: Path, root: Path, recordings: Iterable[str]) -> None:
    """Have MineStudio make its videos, actions and facts of recordings, and of these its dataset, by Ray's workers."""
    from minestudio.data.minecraft.tools import process_all_openai

    for name in recordings:
        for folder, kind in (("mp4", ".mp4"), ("jsonl", ".jsonl")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            os.link(source / f"{name}{kind}", root / folder / f"{name}{kind}")
    process_all_openai.main(SimpleNamespace(input_dir=str(root), nb_worker=1, use_md5=False))


def actions_of(root: Path, name: str) -> dict[str, np.ndarray]:
    """Return what MineStudio made of a recording's actions: an array per key, and the camera."""
    return pickle.loads((root / "actions" / f"{name}.pkl").read_bytes())


def compare_recordings(source: Path, root: Path, recordings: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Compare how MineStudio reads recordings with how we do: keys, turns, facts and frames; return the counts."""
    importer, steps, psnr = build_importer("vpt", {"null_actions": "keep"}), 0, []
    for trajectory in importer.trajectories(source):
        columns, facts_ = actions_of(root, trajectory.id), facts_of(root, trajectory.id)
        assert [step.index for step in trajectory.steps] == list(range(len(columns["camera"])))
        turned = np.cumsum([step.action.camera for step in trajectory.steps], 0)
        assert np.abs(turned - np.cumsum(columns["camera"], 0)).max() <= HALF_BIN + 1e-9
        for step, theirs in zip(trajectory.steps, facts_, strict=True):
            assert step.action.keys == pressed_in(columns, step.index), (trajectory.id, step.index)
            compare_facts(step.privileged, theirs)
        with Video(root / "videos" / f"{trajectory.id}.mp4") as video:
            psnr += [psnr_of(step.frame, frame) for step, frame in zip(trajectory.steps, video.frames(), strict=True)]
        steps += len(columns["camera"])
    assert min(psnr) > WORST_PSNR, min(psnr)
    assert steps == sum(map(len, recordings.values()))
    return {"recordings": len(recordings), "steps": steps, "psnr": round(min(psnr), 1), "cursor": compare_cursors()}


def facts_of(root: Path, name: str) -> list[dict[str, Any]]:
    """Return what MineStudio made of what the game knew."""
    return pickle.loads((root / "privileged_infos" / f"{name}.pkl").read_bytes())


def pressed_in(columns: Mapping[str, np.ndarray], index: int) -> set[str]:
    """Return the keys that are pressed in a step."""
    return {key for key, values in columns.items() if key != "camera" and values[index]}


def compare_facts(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Assert that what both know of a moment is the same: we count the inventory, and they list its slots."""
    counted: Counter[str] = Counter()
    for stack in theirs["inventory"]:
        counted[stack["type"]] += stack["quantity"]
    assert ours["inventory"] == counted
    assert {name: ours[name] for name in POSE} == {name: theirs[name] for name in POSE}


def compare_cursors() -> float:
    """Return the part of the cursor's pixels that both draw, of those that either does; both begin at its tip."""
    from minestudio.data.minecraft.tools import process_all_openai as theirs

    frames = [np.full((*SIZE, 3), 100, np.uint8) for _ in range(2)]
    draw_cursor(frames[0], 50, 30)
    theirs.composite_images_with_alpha(frames[1], theirs.cursor_image, theirs.cursor_alpha, 50, 30)
    drawn = [(frame != 100).any(-1) for frame in frames]
    for one in drawn:
        rows, columns = np.nonzero(one)
        assert (rows.min(), columns.min()) == (30, 50)
        assert max(rows.max() - 30, columns.max() - 50) < 16
    return round(float((drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum()), 2)


def psnr_of(first: np.ndarray, second: np.ndarray) -> float:
    """Return how alike two frames are, in decibels; 100 for equal ones."""
    error = np.mean((first.astype(float) - second) ** 2)
    return 100.0 if error == 0 else float(10 * np.log10(255**2 / error))


def compare_converted(root: Path, recordings: Iterable[str]) -> dict[str, int]:
    """Have MineStudio make a dataset of what it made of recordings, import it, and compare; return the counts."""
    from minestudio.data.minecraft.core import KernelManager

    convert(root)
    kernels = KernelManager([str(root / "set")], callbacks(224, 224), verbose=False)
    dataset = import_dataset(root / "set", "minestudio", root / "imported")
    assert {one.id: len(one.steps) for one in dataset} == dict(kernels.get_episodes_with_length())
    for trajectory in dataset:
        count = len(trajectory.steps)
        read = kernels.read(trajectory.id, 0, count, 1)
        names = sorted(name for name in recordings if name.startswith(trajectory.id.rpartition("-")[0]))
        compare_source(read, root, names, count)
        turned = np.cumsum([step.action.camera for step in trajectory.steps], 0)
        assert np.abs(turned - np.cumsum(read["env_action"]["camera"], 0)).max() <= HALF_BIN + 1e-9
        for step in trajectory.steps:
            assert np.array_equal(step.frame, read["image"][step.index])
            assert step.action.keys == pressed_in(read["env_action"], step.index)
            assert step.privileged == {key: values[step.index] for key, values in read["meta_info"].items()}
    return {"episodes": len(dataset), "steps": sum(len(one.steps) for one in dataset)}


def compare_source(read: Mapping[str, Any], root: Path, names: Sequence[str], count: int) -> None:
    """Assert that an episode of MineStudio's dataset is its recordings' moments that do something, to whole chunks."""
    kept = [(name, index) for name in names for index in moving(actions_of(root, name))][:count]
    assert len(kept) == count
    columns = {name: actions_of(root, name) for name in names}
    for key, values in read["env_action"].items():
        assert np.array_equal(values, [columns[name][key][index] for name, index in kept]), key
    known = {name: facts_of(root, name) for name in names}
    for key, values in read["meta_info"].items():
        assert values == [known[name][index][key] for name, index in kept], key


def moving(columns: Mapping[str, np.ndarray]) -> list[int]:
    """Return the indices of actions that do something, as MineStudio leaves the others out."""
    return np.nonzero(sum(np.abs(values.reshape(len(values), -1)).sum(1) for values in columns.values()))[0].tolist()


def convert(root: Path) -> None:
    """Have MineStudio's converters write its LMDB folders, without the moments in which nothing is done."""
    import ray
    from minestudio.data.minecraft.callbacks import ActionConvertCallback, ImageConvertCallback, MetaInfoConvertCallback
    from minestudio.data.minecraft.tools.convertion import ConvertManager

    def actions() -> Any:
        made = object.__new__(ActionConvertCallback)  # its own constructor does not give its base what that asks for
        made.input_dirs, made.chunk_size = [str(root / "actions")], CHUNK
        return made

    kernels = {
        "image": ImageConvertCallback([str(root / "videos")], CHUNK, thread_pool=1),
        "action": actions(),
        "meta_info": MetaInfoConvertCallback([str(root / "privileged_infos")], CHUNK),
    }
    ray.init(num_cpus=len(kernels), include_dashboard=False, runtime_env={"worker_process_setup_hook": prepare})
    try:
        for modality, kernel in kernels.items():
            manager = ConvertManager(str(root / "set" / modality), kernel, actions(), CHUNK, num_workers=2)
            manager.prepare_tasks()
            manager.dispatch()
    finally:
        ray.shutdown()


def compare_differences(root: Path) -> int:
    """Assert where both read a recording in another way, on purpose: what is here is all that is known."""
    for number, (lines, ours, theirs) in enumerate(DIFFERENCES.values()):
        source, target = root / f"vpt-{number}" / "6.9", root / f"theirs-{number}"
        vpt_recording(source / "a", lines, video=encode_video(scenery(len(lines)), 20, VideoEncoding()))
        process(source, target, ["a"])
        (trajectory,) = build_importer("vpt", {"null_actions": "keep"}).trajectories(source.parent)
        assert [MINERL.format(step.action) for step in trajectory.steps] == ours, ours
        found = told(actions_of(target, "a")) if (target / "actions" / "a.pkl").exists() else None
        assert found == theirs, (found, theirs)
    return len(DIFFERENCES)


def told(columns: Mapping[str, np.ndarray]) -> list[str]:
    """Return actions as texts, of which their turns are whole degrees here."""
    turns = [tuple(int(angle) for angle in turn) for turn in columns["camera"]]
    return [MINERL.format(Action.press(*pressed_in(columns, index), camera=turn)) for index, turn in enumerate(turns)]


DIFFERENCES = {
    "escape closes a menu, and elsewhere is a key; theirs leaves it out": (
        [
            *(vpt_line(0, keys=("e",)), vpt_line(1, keys=("e",), gui=True), vpt_line(2, keys=("escape",), gui=True)),
            *(vpt_line(3, keys=("w",)), vpt_line(4, keys=("escape",))),
        ],
        ["inventory", "inventory", "inventory", "forward", "ESC"],
        ["inventory", "inventory", "noop", "forward", "noop"],
    ),
    "the slot before the first line is not known; theirs takes it for the first": (
        [vpt_line(0, slot=4), vpt_line(1, slot=2)],
        ["noop", "hotbar.3"],
        ["hotbar.5", "hotbar.3"],
    ),
    "versions 6.7 to 6.9 count half of the mouse in a menu; theirs knows it and does not use it": (
        [vpt_line(0, dx=200.0, gui=True), vpt_line(1, dx=200.0)],
        ["camera:[0,60]", "camera:[0,30]"],
        ["camera:[0,30]", "camera:[0,30]"],
    ),
    "a line of the same tick is no step; theirs keeps it": (
        [vpt_line(0, keys=("w",)), vpt_line(0, keys=("w",)), vpt_line(1, keys=("s",))],
        ["forward", "back"],
        ["forward", "forward", "back"],
    ),
    "a keyboard that is null pressed nothing; theirs refuses the recording": (
        [vpt_line(0, keys=("w",)), vpt_line(1, keyboard=None)],
        ["forward", "noop"],
        None,
    ),
}
"""What differs -> lines, our actions of them, and theirs, or None where they have none."""
