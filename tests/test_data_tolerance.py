"""What is wrong with recordings is found on the way in, named, and with --skip-bad costs no more than what is wrong."""

import io
import json
import struct
import warnings
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from test_data_importers import LINES, META, episode, read

from rig.cli.main import main
from rig.data import IMPORTERS, Dataset, Importer
from rig.data.decoding import MAX_SIDE, decoding, read_image
from rig.data.packed import read_arrays
from rig.errors import DatasetError, RigError
from rig.records import fake_trajectory
from rig.stages import import_dataset


def write_lines(folder, lines):
    (folder / "episode.jsonl").write_text("\n".join(json.dumps(line) for line in lines))


def with_meta(**changes):
    return lambda folder: (folder / "meta.json").write_text(json.dumps({**META, **changes}))


def with_line(text):
    return lambda folder: (folder / "episode.jsonl").write_text(
        "\n".join([json.dumps(LINES[0]), json.dumps(LINES[1]), text])
    )


def with_frames(**arrays):
    return lambda folder: np.savez(folder / "frames.npz", **arrays)


def flipped(folder):
    """Compress the frames, and spoil the compressed bytes but not the archive around them."""
    frames = np.load(folder / "frames.npz")["frames"]
    np.savez_compressed(folder / "frames.npz", frames=frames)
    data = bytearray((folder / "frames.npz").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = b"\xff" * 40
    (folder / "frames.npz").write_bytes(data)


def claiming_terabytes(folder):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000, 3)}
    )
    with zipfile.ZipFile(folder / "frames.npz", "w") as archive:
        archive.writestr("frames.npy", header.getvalue() + b"\0" * 64)


EPISODE_FAULTS = {
    "another frame size": (with_frames(frames=np.zeros((4, 9, 8, 3), np.uint8)), r"a frame is uint8 \[9, 8, 3\]"),
    "frames of 0 x 0": (with_frames(frames=np.zeros((4, 0, 0, 3), np.uint8)), "is 0 x 0; a frame has 1 to"),
    "objects": (with_frames(frames=np.array([{}] * 4, object)), "frames are object"),
    "text": (with_frames(frames=np.array(["x"] * 4)), "frames are <U1"),
    "another array": (with_frames(pictures=np.zeros((4, 8, 8, 3), np.uint8)), "no array 'frames'.*pictures.npy"),
    "a damaged npz": (flipped, "frames.npz cannot be read.*np.savez"),
    "terabytes": (claiming_terabytes, "claims 2794 GiB, and 8 GiB are the most"),
    "a large seed": (with_meta(seed=2**63), "seed"),
    "a seed of 400 digits": (with_meta(seed=10**400), "meta.json"),
    "a seed that is true": (with_meta(seed=True), "seed"),
    "many samples": (with_meta(samples=-1), "samples"),
    "another environment": (with_meta(environment="elsewhere"), "environment 'elsewhere', and the dataset 'minerl'"),
    "an instruction": (with_meta(instruction="collect rig: wood. The current task: x <Imagine:>"), "fixed phrase"),
    "deep meta": (lambda folder: (folder / "meta.json").write_text("[" * 100_000), "meta.json is not JSON"),
    "a folder for a file": (lambda folder: (folder / "meta.json").unlink() or (folder / "meta.json").mkdir(), "meta"),
}
STEP_FAULTS = {
    "NaN in facts": (with_line('{"keys": [], "privileged": {"at": NaN}}'), "is not JSON"),
    "NaN as reward": (with_line('{"keys": [], "reward": NaN}'), "is not JSON"),
    "a key of another space": (with_line('{"keys": ["move_left"]}'), "'move_left' is not a key"),
    "a camera of 400 digits": (with_line('{"keys": [], "camera": [0, ' + "1" * 400 + "]}"), "episode.jsonl:3"),
    "deep nesting": (with_line('{"keys": [], "privileged": ' + '{"a":' * 100_000), "is not JSON"),
    "half a surrogate": (with_line('{"keys": [], "thought": "\\ud800"}'), "episode.jsonl:3"),
    "a fixed phrase": (
        with_line('{"keys": [], "thought": "1. A tree. Next action: use"}'),
        "step 2: the thought .* holds the fixed phrase 'Next action:'; reword it",
    ),
    "an empty thought": (with_line('{"keys": [], "thought": " "}'), "step 2: the thought is empty"),
}


@pytest.mark.parametrize("name", [*EPISODE_FAULTS, *STEP_FAULTS])
def test_one_fault_costs_its_episode_or_its_step(tmp_path, name):
    harm, message = {**EPISODE_FAULTS, **STEP_FAULTS}[name]
    for folder in ("a", "b", "c"):
        episode(tmp_path / "in" / folder)
    harm(tmp_path / "in" / "b")
    with pytest.raises(DatasetError, match=message):
        import_dataset(tmp_path / "in", "open-folder", tmp_path / "strict")
    skipped = []
    dataset = import_dataset(tmp_path / "in", "open-folder", tmp_path / "out", skipped=skipped)
    dataset.verify()
    assert [len(one.steps) for one in dataset] == ([3, 3] if name in EPISODE_FAULTS else [3, 2, 3])
    assert skipped
    assert all("b" in entry.place.split("in")[-1] for entry in skipped)


def test_the_first_episode_may_be_the_bad_one(tmp_path):
    for folder in ("a", "b"):
        episode(tmp_path / "in" / folder)
    with_meta(instruction="human: go")(tmp_path / "in" / "a")
    skipped = []
    assert import_dataset(tmp_path / "in", "open-folder", tmp_path / "out", skipped=skipped).ids == ["b"]
    assert len(skipped) == 4
    with_meta(instruction="human: go")(tmp_path / "in" / "b")
    with pytest.raises(RigError, match=r"no trajectory that .* can read; 8 were left out, the first for: the instr"):
        import_dataset(tmp_path / "in", "open-folder", tmp_path / "none", skipped=[])
    assert not (tmp_path / "none").exists()


class Twice(Importer):
    """An importer of another's, which gives an id twice."""

    name = "twice"

    def trajectories(self, source, *, skipped=None):
        yield fake_trajectory(1, size=8)
        yield fake_trajectory(1, size=8)
        yield fake_trajectory(2, size=8)


def test_an_id_that_comes_twice_is_no_silent_loss(tmp_path, monkeypatch):
    monkeypatch.setitem(IMPORTERS._entries, "twice", Twice)
    with pytest.raises(DatasetError, match=r"'fake-1' is already in"):
        import_dataset(tmp_path, "twice", tmp_path / "strict")
    skipped = []
    assert import_dataset(tmp_path, "twice", tmp_path / "out", skipped=skipped).ids == ["fake-1", "fake-2"]
    assert [entry.place for entry in skipped] == ["trajectory 'fake-1'"]


def test_the_command_says_what_it_left_out(tmp_path, capsys):
    for folder in ("a", "b"):
        episode(tmp_path / "in" / folder)
    with_line('{"keys": [], "reward": NaN}')(tmp_path / "in" / "b")
    command = ["import", "--source", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert main([*command, "--skip-bad", "--overwrite"]) == 0
    assert "left out: " in capsys.readouterr().out
    assert main([*command, "--skip-bad", "--overwrite", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["steps"], len(found["skipped"])) == (5, 1)
    assert "episode.jsonl:3" in found["skipped"][0]
    (tmp_path / "out" / "shards" / "steps-00000.parquet").write_bytes(b"PAR1")
    assert main(["inspect", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "skip_bad" not in told
    assert "--overwrite" in told


def png(width, height, body=b""):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (12_000, 12_000), (MAX_SIDE + 1, 1), (0, 5)])
def test_an_image_is_refused_by_its_header(tmp_path, width, height):
    (tmp_path / "0.png").write_bytes(png(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DatasetError, match=r"0.png (cannot be read|is \d+ x \d+; a frame has 1 to 8192)"):
            read_image(tmp_path / "0.png")


@pytest.mark.parametrize("cut", [10, 40, 60, -200])
def test_a_truncated_image_is_named(tmp_path, cut):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)).save(tmp_path / "0.png")
    assert read_image(tmp_path / "0.png").shape == (32, 32, 3)
    (tmp_path / "0.png").write_bytes((tmp_path / "0.png").read_bytes()[:cut])
    with pytest.raises(DatasetError, match=r"0.png cannot be read"):
        read_image(tmp_path / "0.png")


def renamed(folder, names):
    files = sorted((folder / "frames").glob("*.png"))
    for number, path in enumerate(files):
        path.rename(path.with_name(f"tmp-{number}"))
    for number, name in enumerate(names):
        (folder / "frames" / f"tmp-{number}").rename(folder / "frames" / name)


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    pixels = episode(tmp_path / "a", lines=[{"keys": []}] * 12, frames=13, packed=False)
    renamed(tmp_path / "a", [f"{number}.png" for number in range(13)])
    (tmp_path / "a" / "frames" / ".DS_Store").write_text("")
    for step in read(tmp_path)[0].steps:
        assert np.array_equal(step.frame, pixels[step.index])
        assert np.array_equal(step.next_frame, pixels[step.index + 1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0.png", "1.png", "3.png", "4.png"], "1.png and 3.png leave numbers out"),
        (["1.png", "01.png", "2.png", "3.png"], "1.png have the same number"),
        (["a0.png", "a1.png", "b2.png", "b3.png"], "a1.png and b2.png differ in more than a number"),
        (["first.png", "1.png", "2.png", "3.png"], "first.png is no numbered frame"),
        (["0.png", "1.png", "2.png", "3.jpg"], "3.jpg is no numbered frame"),
    ],
)
def test_frames_in_no_certain_order_are_refused(tmp_path, names, message):
    episode(tmp_path / "a", packed=False)
    renamed(tmp_path / "a", names)
    with pytest.raises(DatasetError, match=message):
        read(tmp_path)


def turned(tmp_path, turns):
    episode(tmp_path / "a", lines=[{"keys": [], "camera": turn} for turn in turns], frames=len(turns))
    (trajectory,) = read(tmp_path)
    return [step.action.camera for step in trajectory.steps]


def test_a_slow_turn_is_a_turn(tmp_path):
    cameras = turned(tmp_path, [[0, 2]] * 45)
    assert [sum(axis) for axis in zip(*cameras, strict=True)] == [0, 90]
    assert set(cameras) == {(0, 0), (0, 5)}


def test_the_sum_of_turns_is_exact_to_one_bin(tmp_path):
    random = np.random.default_rng(0)
    turns = random.normal(0, 9, (200, 2)).tolist()
    cameras = turned(tmp_path, turns)
    assert np.abs(np.cumsum(cameras, axis=0) - np.cumsum(turns, axis=0)).max() <= 2.5 + 1e-9


def test_a_turn_faster_than_the_space_allows_goes_on_in_the_next_steps(tmp_path):
    assert turned(tmp_path, [[0, 300], [0, 0], [0, 0]]) == [(0, 180), (0, 120), (0, 0)]


def test_whatever_a_decoder_raises_is_one_error():
    for error in (zlib.error("x"), RecursionError(), ZeroDivisionError("x"), MemoryError(), struct.error("x")):
        with pytest.raises(DatasetError, match=r"place cannot be read .*; fix it"), decoding("place", "fix it"):
            raise error
    with pytest.raises(KeyboardInterrupt), decoding("place", "fix it"):
        raise KeyboardInterrupt


def test_arrays_that_hold_less_than_they_claim_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (4,)})
        archive.writestr("x.npy", header.getvalue() + b"12")
    with pytest.raises(DatasetError, match="claims 4 bytes, and holds 2"):
        read_arrays(tmp_path / "a.npz", {"x": (np.uint8, 1)}, "mend it")


def test_a_phrase_in_a_thought_costs_its_step(tmp_path):
    episode(tmp_path / "in" / "a", frames=3)
    episode(tmp_path / "in" / "b", lines=[LINES[0], {"keys": [], "thought": "human: x"}, LINES[2]], frames=3)
    out = import_dataset(tmp_path / "in", "open-folder", tmp_path / "out", skipped=[])
    assert [[step.index for step in one.steps] for one in Dataset(out.path)] == [[0, 1, 2], [0, 2]]
