"""Frames made a video: a file or bytes, through PyAV, which the extra `video` installs; what `rig.data.video` reads."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Annotated, Any

import numpy as np

from rig.data.decoding import refuse_size
from rig.errors import RigError
from rig.records import Frame
from rig.registry import require, suggestion
from rig.storage import atomic_file
from rig.validation import Meta, check_fields

ENCODERS = ("libx264", "libx264rgb", "libx265", "libsvtav1", "libvpx-vp9", "mpeg4")
"""Encoders that a build of PyAV may have; its own wheels have them all."""

_ONE_THREAD = {
    "libx265": {"x265-params": "log-level=error:pools=1:frame-threads=1"},
    "libsvtav1": {"svtav1-params": "lp=1"},
}
"""What encoders are told besides that have their own words for it, and for being quiet."""


@dataclass(frozen=True, kw_only=True)
class VideoEncoding:
    """How frames are made a video.

    Attributes:
        codec: the encoder, one of those that PyAV has here: `encoders()`.
        pixel_format: how pixels are stored. "yuv420p" everything plays, and it wants even sides; "yuv444p" keeps
            colours at full resolution; "rgb24" of "libx264rgb", with a crf of 0, loses nothing.
        crf: what quality is kept: 0 the best, 51 the worst of H.264; None leaves it to the encoder.
        key_frame_every: frames from one key frame to the next, which is what reading one of them takes; None leaves it
            to the encoder.
        container: what the file is: "mp4", "matroska" …
    """

    codec: Annotated[str, Meta(min_length=1)] = "libx264"
    pixel_format: Annotated[str, Meta(min_length=1)] = "yuv420p"
    crf: Annotated[int, Meta(ge=0, le=63)] | None = 23
    key_frame_every: Annotated[int, Meta(ge=1)] | None = None
    container: Annotated[str, Meta(min_length=1)] = "mp4"

    def __post_init__(self) -> None:
        check_fields(self)

    def options(self) -> dict[str, str]:
        """Return what the encoder is told: one thread, for the same bytes on any number of cores."""
        given = {"crf": self.crf, "g": self.key_frame_every, "threads": 1, **_ONE_THREAD.get(self.codec, {})}
        return {name: str(value) for name, value in given.items() if value is not None}


LOSSLESS = VideoEncoding(codec="libx264rgb", pixel_format="rgb24", crf=0)
"""Every pixel comes back as it was."""


def encoders() -> list[str]:
    """Return the names of those `ENCODERS` that PyAV has here.

    Raises:
        MissingDependencyError: PyAV is not installed.
    """
    av: Any = require("av", "video")

    def is_there(name: str) -> bool:
        try:
            return bool(av.Codec(name, "w").name)
        except ValueError:
            return False

    return [name for name in ENCODERS if is_there(name)]


def write_video(path: Path, frames: Iterable[Frame], fps: float, encoding: VideoEncoding | None = None) -> int:
    """Write `frames`, uint8 [H, W, 3] each, as a video at `path`, atomically; return how many there were.

    The same frames make the same bytes on any number of cores.

    Raises:
        RigError: there is no frame, one has another size than the first, the encoder is not there or does not take
            such frames, or the disk is full.
        MissingDependencyError: PyAV is not installed.
    """
    with atomic_file(path) as temporary, temporary.open("wb+") as file:
        return _encode(file, path, frames, fps, encoding or VideoEncoding())


def encode_video(frames: Iterable[Frame], fps: float, encoding: VideoEncoding | None = None) -> bytes:
    """Return `frames` as the bytes of a video; see `write_video`."""
    file = io.BytesIO()
    _encode(file, "a video", frames, fps, encoding or VideoEncoding())
    return file.getvalue()


def _encode(file: IO[bytes], place: object, frames: Iterable[Frame], fps: float, encoding: VideoEncoding) -> int:
    _refuse_unknown_encoder(encoding.codec)
    coming = iter(frames)
    first = next(coming, None)
    if first is None:
        raise RigError(f"{place}: a video needs a frame, and there is none")
    refuse_size(place, *first.shape[:2])
    return _Encoder(file, place, first.shape, fps, encoding).encode(chain([first], coming))


def _refuse_unknown_encoder(name: str) -> None:
    known = encoders()
    if name not in known:
        raise RigError(f"PyAV has no encoder {name!r} here.{suggestion(name, known)} It has: {', '.join(known)}.")


@contextmanager
def _priority_kept() -> Iterator[None]:
    """Keep how the system schedules this process: SVT-AV1 makes it a real-time one where it may."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


class _Encoder:
    """A video in the making; what is wrong with the frames that it is given stays as it is."""

    def __init__(
        self, file: IO[bytes], place: object, shape: tuple[int, ...], fps: float, encoding: VideoEncoding
    ) -> None:
        av: Any = require("av", "video")
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 tells all of its settings otherwise
        self._av, self._place, self._shape, self._encoding = av, place, shape, encoding
        self._rate = Fraction(fps).limit_denominator(100_000)
        with self._encoding_named():
            self._container = av.open(file, "w", format=encoding.container)
            self._stream = self._container.add_stream(encoding.codec, rate=self._rate, options=encoding.options())
            self._stream.height, self._stream.width = shape[:2]
            self._stream.pix_fmt, self._stream.time_base = encoding.pixel_format, 1 / self._rate

    def encode(self, frames: Iterable[Frame]) -> int:
        """Write `frames` and the end of the video; return how many there were."""
        count = 0
        with self._container:
            for count, frame in enumerate(frames, 1):
                self._put(frame, count - 1)
            with self._encoding_named():
                self._container.mux(self._stream.encode(None))
        return count

    def _put(self, frame: Frame, number: int) -> None:
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise RigError(
                f"{self._place}: frame {number} is {frame.dtype} {list(frame.shape)} among those of uint8 "
                f"{list(self._shape)}; a video's frames have one size, which --frame-size brings them to"
            )
        with self._encoding_named():
            picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = number, 1 / self._rate
            self._container.mux(self._stream.encode(picture))

    @property
    def _is_odd(self) -> bool:
        return any(side % 2 for side in self._shape[:2])

    @contextmanager
    def _encoding_named(self) -> Iterator[None]:
        """Turn what PyAV refuses into a RigError; what the system refuses is named by whoever has the file."""
        try:
            with _priority_kept():
                yield
        except (self._av.error.FFmpegError, ValueError) as error:
            if isinstance(error, RigError):
                raise
            height, width = self._shape[:2]
            even = " It takes frames of even sides." if "420" in self._encoding.pixel_format and self._is_odd else ""
            raise RigError(
                f"{self._place} cannot be written ({error}): {height} x {width} pixels as "
                f"{self._encoding.pixel_format!r} by {self._encoding.codec!r} in "
                f"{self._encoding.container!r}.{even} Choose another encoding"
            ) from error
