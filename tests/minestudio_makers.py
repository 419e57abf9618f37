"""Datasets as MineStudio lays them out, written with lmdb and PyAV: a folder per modality, parts, chunks."""

import pickle

import lmdb
import numpy as np

from rig.data.video_encoding import LOSSLESS, encode_video

KEYS = (
    *("back", "drop", "forward", *(f"hotbar.{slot}" for slot in range(1, 10)), "inventory", "jump", "left", "right"),
    *("sneak", "sprint", "attack", "use"),
)
CHUNK = 4


def pixels(count, seed=0, size=8):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def actions(count, seed=0):
    random = np.random.default_rng(seed)
    keys = {key: random.integers(0, 2, count) for key in KEYS}
    return {**keys, "camera": random.integers(-70, 70, (count, 2)) / 7}


def facts(count):
    return [
        {"yaw": number / 8, "isGuiOpen": False, "inventory": [{"type": "log", "quantity": 3}]}
        for number in range(count)
    ]


def image_chunks(frames, chunk=CHUNK, encoding=LOSSLESS):
    return [encode_video(frames[first : first + chunk], 20, encoding) for first in range(0, len(frames), chunk)]


def action_chunks(columns, chunk=CHUNK):
    count = len(columns["camera"])
    cut = [{key: values[first : first + chunk] for key, values in columns.items()} for first in range(0, count, chunk)]
    return [pickle.dumps(values) for values in cut]


def fact_chunks(values, chunk=CHUNK):
    return [pickle.dumps(values[first : first + chunk]) for first in range(0, len(values), chunk)]


def write_part(folder, episodes, chunk=CHUNK, frames=None, map_size=1 << 24):
    """Write an LMDB folder: lists of chunks by episode; `frames` are lengths that are no multiple of a chunk's."""
    folder.mkdir(parents=True, exist_ok=True)
    infos = []
    with (
        lmdb.open(str(folder), map_size=map_size, sync=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for number, (name, chunks) in enumerate(episodes.items()):
            for first, data in enumerate(chunks):
                transaction.put(str((number, first * chunk)).encode(), data)
            length = (frames or {}).get(name, len(chunks) * chunk)
            infos.append({"episode": name, "episode_idx": number, "num_frames": length})
        said = {
            "__chunk_size__": chunk,
            "__chunk_infos__": infos,
            "__num_episodes__": len(infos),
            "__num_total_frames__": sum(info["num_frames"] for info in infos),
        }
        for key, value in said.items():
            transaction.put(key.encode(), pickle.dumps(value))


def write_dataset(root, lengths, size=8, image="image", meta_info="meta_info"):
    """Write episodes of these lengths by name; return their frames and actions."""
    made = {
        name: (pixels(count, seed, size), actions(count, seed)) for seed, (name, count) in enumerate(lengths.items())
    }
    write_part(root / image / "part-1", {name: image_chunks(one[0]) for name, one in made.items()})
    write_part(root / "action" / "part-1", {name: action_chunks(one[1]) for name, one in made.items()})
    if meta_info:
        write_part(root / meta_info / "part-1", {name: fact_chunks(facts(count)) for name, count in lengths.items()})
    return made
