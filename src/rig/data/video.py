"""Videos, read frame by frame: a file or bytes, through PyAV, which the extra `video` installs.

    with Video(path) as video:
        for frame in video.frames(start=40): ...

What a video claims is looked at before room is made for it, and no file can have others opened in its place: playlists
and network addresses are no videos here. Decoding is by one thread, so that few frames are held at once; for speed,
processes each read a video of their own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

from rig.data.decoding import MAX_SIDE, decoding, refuse_size
from rig.errors import DatasetError
from rig.lazy import HeldFrames, Lazy
from rig.records import Frame
from rig.registry import require

MAX_FRAMES = 10_000_000
"""The most frames of a video: six days at 20 a second."""

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
_FIX = "make the video again from the recording, or fetch it once more"
_PROBE = {"format_whitelist": _CONTAINERS, "max_pixels": str(MAX_SIDE * MAX_SIDE)}


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What a video's head says.

    Attributes:
        height: of every frame, in pixels.
        width: alike.
        fps: frames per second on average; 0 where it does not say.
        codec: its codec's name, such as "h264".
    """

    height: int
    width: int
    fps: Fraction
    codec: str


class Video:
    """A video that is open; a context manager.

    Args:
        source: its file, or its bytes.
        place: what errors call it; by itself the file's path.

    Attributes:
        info: what its head says.

    Raises:
        DatasetError: it cannot be read, is no video, or its frames are larger than `MAX_SIDE`.
        MissingDependencyError: PyAV is not installed.
    """

    def __init__(self, source: Path | bytes, place: object = None) -> None:
        self.place = place or (source if isinstance(source, Path) else f"a video of {len(source)} bytes")
        self._source = source
        self._opened: ExitStack | None = None
        self._container, self._stream = self._open()

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Yield the frames from the `start`-th, counted from 0, to before the `stop`-th, uint8 [H, W, 3].

        Those before `start` are decoded and dropped, which is right for every video. Fewer come where the video ends.

        Raises:
            DatasetError: one cannot be decoded, or is of another size than the head says.
        """
        with decoding(self.place, _FIX):
            self._rewind()
            for number, decoded in enumerate(self._decoded()):
                if stop is not None and number >= stop:
                    return
                if number >= start:
                    yield self._pixels(decoded)

    def between(self, begin: float, end: float) -> Iterator[Frame]:
        """Yield the frames that are shown from `begin` to before `end`, in seconds, each within half a frame's time.

        Decoding begins with the last key frame before `begin`.

        Raises:
            DatasetError: as of `frames`; or the video does not say how many frames it has in a second.
        """
        if not self.info.fps:
            raise DatasetError(f"{self.place} does not say how many frames it has in a second; {_FIX}")
        half = float(1 / self.info.fps / 2)
        with decoding(self.place, _FIX):
            self._rewind(max(0.0, begin - half))
            for decoded in self._decoded():
                if decoded.time is None:
                    raise DatasetError(f"{self.place} has a frame without a time; {_FIX}")
                if decoded.time >= end - half:
                    return
                if decoded.time >= begin - half:
                    yield self._pixels(decoded)

    def count(self) -> int:
        """Return how many frames are stored, by a look at all of the file without decoding it.

        Raises:
            DatasetError: it is damaged, or claims more than `MAX_FRAMES`.
        """
        found = 0
        with decoding(self.place, _FIX):
            self._rewind()
            for number, packet in enumerate(self._container.demux(self._stream)):
                if number > MAX_FRAMES:
                    raise DatasetError(f"{self.place} claims more than {MAX_FRAMES} frames; {_FIX}")
                found += bool(packet.size)
        return found

    def _open(self) -> tuple[Any, Any]:
        av: Any = require("av", "video")
        with ExitStack() as opened, decoding(self.place, _FIX):
            file = opened.enter_context(self._file())
            container = opened.enter_context(av.open(file, options=_PROBE))
            if not container.streams.video:
                raise DatasetError(f"{self.place} holds no video; {_FIX}")
            stream = container.streams.video[0]
            context = stream.codec_context
            refuse_size(self.place, context.height, context.width)
            context.thread_count, context.options = 1, {"max_pixels": _PROBE["max_pixels"]}
            self.info = VideoInfo(
                height=context.height,
                width=context.width,
                fps=Fraction(stream.average_rate or 0),
                codec=context.codec.canonical_name,
            )
            self._opened, self._is_fresh = opened.pop_all(), True
        return container, stream

    def _file(self) -> IO[bytes]:
        """Return the bytes as a file: PyAV would take a path for an address."""
        return io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source.open("rb")

    def _rewind(self, seconds: float = 0.0) -> None:
        """Have decoding begin with the last key frame before `seconds`; the beginning of a video is always found."""
        if self._opened is None or not (self._is_fresh or seconds):
            self.close()
            self._container, self._stream = self._open()
        self._is_fresh = False
        if seconds:
            self._container.seek(int(seconds / self._stream.time_base), stream=self._stream)

    def _decoded(self) -> Iterator[Any]:
        return self._container.decode(self._stream)

    def _pixels(self, decoded: Any) -> Frame:
        if (decoded.height, decoded.width) != (self.info.height, self.info.width):
            raise DatasetError(
                f"{self.place} has a frame of {decoded.height} x {decoded.width} among those of {self.info.height} x "
                f"{self.info.width}; {_FIX}"
            )
        return decoded.to_ndarray(format="rgb24")


class VideoFrames:
    """The frames of a video by number, quickest in their order; the file is open between two of them alone.

    Args:
        source: as of `Video`.
        place: alike.

    Attributes:
        info: what the video's head says.

    Raises:
        DatasetError: as of `Video`.
    """

    def __init__(self, source: Path | bytes, place: object = None) -> None:
        self._source, self._place = source, place
        self._video: Video | None = None
        self._next, self._coming = 0, iter(())  # type: tuple[int, Iterator[Frame]]
        with Video(source, place) as video:
            self.info, self._count, self.place = video.info, video.count(), video.place

    def __len__(self) -> int:
        return self._count

    def frame(self, number: int) -> Frame:
        """Return a frame, uint8 [H, W, 3].

        Raises:
            DatasetError: it cannot be decoded, or the video ends before it.
        """
        if self._video is None or number < self._next:
            self.close()
            self._video = Video(self._source, self._place)
            self._coming = self._video.frames(number)
        else:
            for _ in range(number - self._next):
                next(self._coming, None)
        found = next(self._coming, None)
        if found is None:
            self.close()
            raise DatasetError(f"{self.place} ends before frame {number}, and promises {self._count} frames; {_FIX}")
        self._next = number + 1
        if self._next == self._count:
            self.close()
        return found

    def close(self) -> None:
        """Let go of the file; the next frame opens it again."""
        if self._video is not None:
            self._video.close()
        self._video, self._next, self._coming = None, 0, iter(())


def video_frames(source: Path | bytes, place: object = None) -> Lazy[Frame]:
    """Return a video's frames, each read when asked for and once while somebody holds it; see `VideoFrames`."""
    frames, held = VideoFrames(source, place), HeldFrames()
    return Lazy(lambda number: held.get(number, frames.frame), range(len(frames)))
