"""Videos: frame by frame, by number or by time, and whatever is wrong with one is named."""

import io
import os
import subprocess
import sys
from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest
from test_data_lazy import Peak

from rig.data.decoding import MAX_SIDE
from rig.data.video import Video, video_frames
from rig.data.video_encoding import LOSSLESS, VideoEncoding, encode_video, encoders, write_video
from rig.errors import DatasetError, MissingDependencyError, RigError

FPS = 20


def noise(count=40, height=36, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def pixels():
    return noise()


@pytest.fixture(scope="module")
def data(pixels):
    return encode_video(pixels, FPS, LOSSLESS)


def test_frames_come_back_whole_or_in_part(pixels, data, tmp_path):
    (tmp_path / "a.mp4").write_bytes(data)
    for source in (data, tmp_path / "a.mp4"):
        with Video(source) as video:
            assert (video.info.height, video.info.width, video.info.fps, video.info.codec) == (36, 64, FPS, "h264")
            assert video.count() == len(pixels)
            for start, stop in ((0, None), (7, 20), (0, 1), (39, 60)):
                assert np.array_equal(list(video.frames(start, stop)), pixels[start:stop])
            assert not list(video.frames(60))


@pytest.mark.parametrize("begin", [0, 1, 12, 13, 39])
def test_several_episodes_lie_in_one_video_by_their_times(pixels, begin):
    encoding = VideoEncoding(codec="libx264rgb", pixel_format="rgb24", crf=0, key_frame_every=6)
    with Video(encode_video(pixels, 30, encoding)) as video:
        for shift in (0, 0.004, -0.004):
            found = list(video.between(begin / 30 + shift, (begin + 9) / 30 + shift))
            assert np.array_equal(found, pixels[begin : begin + 9])


def test_frames_by_number_are_the_same_in_any_order(pixels, data):
    frames = video_frames(data)
    assert len(frames) == len(pixels)
    for number in (0, 1, 2, 30, 5, 5, 39, -1, 0):
        assert np.array_equal(frames[number], pixels[number])
        assert not frames[number].flags.writeable
    assert np.array_equal(np.stack(list(frames)), pixels)


def test_a_long_video_is_read_and_written_with_few_frames_in_memory(tmp_path):
    size, length = 96, 300

    def coming():
        for number in range(length):
            yield np.full((size, size, 3), number % 256, np.uint8)

    with Peak() as peak:
        assert write_video(tmp_path / "long.mp4", coming(), FPS) == length
        with Video(tmp_path / "long.mp4") as video:
            for number, frame in enumerate(video.frames()):
                assert abs(int(frame.mean()) - number % 256) <= 2
    assert number == length - 1
    assert peak.bytes < 20 * size * size * 3


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1", "libvpx-vp9", "mpeg4"])
def test_what_encoders_lose_is_little_and_the_same_frames_make_the_same_bytes(codec, capfd):
    before = os.sched_getscheduler(0)
    encoding = VideoEncoding(codec=codec, crf=None if codec == "mpeg4" else 20)
    assert codec in encoders()
    shown = [np.full((64, 64, 3), 100 + 5 * number, np.uint8) for number in range(8)]
    data = encode_video(shown, FPS, encoding)
    assert data == encode_video(shown, FPS, encoding)
    with Video(data) as video:
        found = list(video.frames())
    assert np.abs(np.array(found, int) - np.array(shown, int)).mean() < 6
    assert capfd.readouterr() == ("", "")
    assert os.sched_getscheduler(0) == before, "SVT-AV1 asks for real time, and a process of ours has none"


@pytest.mark.parametrize(
    ("given", "frames", "message"),
    [
        ({"codec": "libx26"}, noise(2), "no encoder 'libx26' here. Did you mean 'libx26[45]'.*It has: libx264, "),
        ({"pixel_format": "yuv42"}, noise(2), "a video cannot be written .*36 x 64 pixels as 'yuv42'.*Choose another"),
        ({"container": "mp5"}, noise(2), "by 'libx264' in 'mp5'"),
        ({}, noise(2, 35), "35 x 64 pixels .*takes frames of even sides"),
        ({"crf": 99}, noise(2), "crf is 99"),
        ({}, [], "a video needs a frame"),
        ({}, [noise(1)[0], noise(1, 38)[0]], r"frame 1 is uint8 \[38, 64, 3\] among those of uint8 \[36, 64, 3\]"),
        ({}, [np.zeros((2, MAX_SIDE + 2, 3), np.uint8)], "1 to 8192 pixels a side"),
    ],
)
def test_what_cannot_be_encoded_is_named(given, frames, message):
    with pytest.raises(RigError, match=message):
        encode_video(frames, FPS, VideoEncoding(**given))


def test_a_failed_video_leaves_no_file_and_its_maker_s_error_as_it_was(tmp_path):
    def failing():
        yield from noise(3)
        raise ValueError("theirs")

    with pytest.raises(ValueError, match=r"^theirs$"):
        write_video(tmp_path / "a.mp4", failing(), FPS)
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_is_named_with_its_file(tmp_path, data):
    for name, content in (("empty", b""), ("text", b"no video"), ("cut", data[:500])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetError, match=rf"{name} cannot be read \(.*Invalid data.*fetch it once more"):
            Video(tmp_path / name)
    with pytest.raises(DatasetError, match=r"none.mp4 cannot be read .*No such file"):
        Video(tmp_path / "none.mp4")
    with pytest.raises(DatasetError, match="chunk 7 cannot be read"):
        Video(b"", place="chunk 7")


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (slice(100, -100), r"a\.mp4 is damaged at 0\.\d\d s; make"),  # within a frame: the decoder makes up the rest
        (slice(0, 4), r"a\.mp4 cannot be read \(.*Invalid data.*fetch it once more"),  # how long its parts are
    ],
)
def test_a_frame_that_a_decoder_makes_up_is_no_frame(tmp_path, damaged, message):
    whole = bytearray(encode_video(noise(20, 48, 64), FPS, VideoEncoding(crf=10)))
    with av.open(io.BytesIO(whole)) as container:  # by its place: how many bytes a frame takes differs with processors
        tenth = list(container.demux(video=0))[10]
    start, stop, _ = damaged.indices(tenth.size)
    whole[tenth.pos + start : tenth.pos + stop] = b"\xff" * (stop - start)
    (tmp_path / "a.mp4").write_bytes(whole)
    with Video(tmp_path / "a.mp4") as video, pytest.raises(DatasetError, match=message):
        list(video.frames())


def test_no_file_can_have_another_opened_in_its_place(tmp_path, data):
    (tmp_path / "a.mp4").write_bytes(data)
    for name, text in (
        ("list.mp4", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{tmp_path / 'a.mp4'}\n#EXT-X-ENDLIST\n"),
        ("concat.mp4", f"ffconcat version 1.0\nfile '{tmp_path / 'a.mp4'}'\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(DatasetError, match=f"{name} cannot be read"):
            Video(tmp_path / name)


def test_frames_of_more_pixels_than_there_may_be_are_refused_by_the_head(data, monkeypatch):
    monkeypatch.setattr("rig.data.decoding.MAX_SIDE", 48)
    with pytest.raises(DatasetError, match="is 36 x 64; a frame has 1 to 48 pixels a side"):
        Video(data)


def test_a_video_that_changes_its_size_on_the_way_is_refused():
    """As a recorder leaves it whose window was resized: the second part's packets say of themselves what they are."""
    file, number = io.BytesIO(), 0
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        other = av.CodecContext.create("mpeg4", "w")
        other.width, other.height, other.pix_fmt, other.time_base = 32, 48, "yuv420p", Fraction(1, FPS)
        for context, frames in ((stream, noise(3)), (other, noise(3, 48, 32))):
            for frame in frames:
                for packet in context.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                    packet.stream, packet.pts, packet.dts = stream, number, number
                    packet.time_base = Fraction(1, FPS)
                    container.mux(packet)
                    number += 1
    with (
        Video(file.getvalue()) as video,
        pytest.raises(DatasetError, match="a frame of 48 x 32 among those of 36 x 64"),
    ):
        list(video.frames())


def test_a_video_that_ends_before_it_promises_is_told(data, monkeypatch):
    monkeypatch.setattr("rig.data.video.Video.count", lambda self: 50)
    frames = video_frames(data, "clip 3")
    with pytest.raises(DatasetError, match="clip 3 ends before frame 40, and promises 50 frames"):
        list(frames)
    assert len(list(islice(frames, 40))) == 40


def test_without_the_package_the_command_that_installs_it_is_said(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    for asked in (lambda: Video(data), lambda: encode_video(noise(2), FPS)):
        with pytest.raises(MissingDependencyError, match=r"Install it: pip install 'rig-agent\[video\]'"):
            asked()


def test_the_package_is_imported_late():
    code = "import sys, rig.data, rig.data.video, rig.data.video_encoding; assert 'av' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
