"""One running engine: started with patience, stepped, and never left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from rig.envs.minetest.config import MinetestConfig, Point
from rig.envs.minetest.link import Errand, Link, Reply, Request
from rig.envs.minetest.media import share_media
from rig.envs.minetest.native import Native, build
from rig.envs.minetest.prerequisites import check_engine, required
from rig.envs.minetest.settings import write_settings
from rig.errors import SimulatorError
from rig.machine import cache_root
from rig.records import Frame

_MOD = Path(__file__).with_name("mod")
_LOG = "engine.log"
_TAIL_LINES = 15
_END_SECONDS = 10.0
_WALL_CLOCK_BEGIN = 1_000_000_000
"""The engine's wall clock at its start, for seed 0: its random numbers begin with it."""


class MinetestProcess:
    """The stock engine in the world of a seed, waiting for the first tick.

    Args:
        config: what the world looks like.
        seed: of the world; every frame and state follows from it and from what is asked for.
        spawn: where the player enters; None leaves it to the game.

    Attributes:
        reply: what came of the last tick.
        close: ends the engine and its display; a second call does nothing, and so does the death of this process.

    Raises:
        SimulatorError: it did not start in time.
        MissingDependencyError: something that it needs is not installed.
    """

    def __init__(self, config: MinetestConfig, seed: int, spawn: Point | None = None) -> None:
        check_engine()
        self.config = config
        self.folder = Path(tempfile.gettempdir()) / f"rig-minetest-{token_hex(8)}"
        self._link = Link(config.width, config.height)
        self._started: list[subprocess.Popen[bytes]] = []
        lifeline, kept = os.pipe()
        self.close = weakref.finalize(self, _end, os.getpid(), self._started, kept, self._link, self.folder)
        try:
            try:
                self._started.append(self._launch(build(), seed, lifeline))
            finally:
                os.close(lifeline)
                self._link.engine_started()
            self._fill_folder(seed, spawn)
            with suppress(BrokenPipeError):  # the keeper has ended, which is told where the first reply is waited for
                os.write(kept, b"\n")
        except BaseException:
            self.close()
            raise
        self.reply = self._receive(config.start_timeout, "did not start")

    def tick(self, request: Request, *, draw: bool = True, look: bool = False) -> Reply:
        """Let one tick pass, and return what came of it.

        Args:
            request: what is done in it.
            draw: have it drawn; without, there is no new frame.
            look: have the mod tell of `sight`, as it does where it is drawn.

        Raises:
            SimulatorError: the engine ended or stood still; it is closed then.
        """
        try:
            self._link.send(request, draw=draw, look=look)
        except OSError as error:
            raise self._failed(f"ended ({error})") from error
        self.reply = self._receive(self.config.step_timeout, "stood still")
        return self.reply

    def keep(self, anchor: int) -> bool:
        """Make an anchor of this moment, numbered from 0 to 31; return whether that was possible.

        Raises:
            SimulatorError: the engine ended or stood still; it is closed then.
        """
        return self._run(Errand.KEEP, anchor).settled

    def go_back(self, anchor: int) -> bool:
        """Go back to the moment of an anchor, which stays; return whether that was possible. `reply` is that of then.

        Raises:
            SimulatorError: the engine ended or stood still; it is closed then.
        """
        reply = self._run(Errand.GO_BACK, anchor)
        if reply.settled:
            self.reply = reply
        return reply.settled

    def drop(self, anchor: int) -> None:
        """Let go of an anchor.

        Raises:
            SimulatorError: the engine ended or stood still; it is closed then.
        """
        self._run(Errand.DROP, anchor)

    def _run(self, errand: Errand, anchor: int) -> Reply:
        try:
            self._link.send_errand(errand, anchor)
        except OSError as error:
            raise self._failed(f"ended ({error})") from error
        return self._receive(self.config.step_timeout, "stood still")

    def frame(self) -> Frame:
        """Return the last drawn frame, uint8 [height, width, 3]."""
        return self._link.frame()

    @property
    def process_id(self) -> int:
        """The keeper, whose children are the engine and its display."""
        return self._started[0].pid

    def _launch(self, native: Native, seed: int, lifeline: int) -> subprocess.Popen[bytes]:
        """Start the keeper, which waits for a byte of the lifeline, and removes the folder when this process dies."""
        link, memory = self._link.inherited
        return subprocess.Popen(
            _command(native, self.folder, self.config, lifeline),
            env=_environment(self.folder, self.config, seed, link, memory),
            pass_fds=(lifeline, link, memory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _fill_folder(self, seed: int, spawn: Point | None) -> None:
        self.folder.mkdir(mode=0o700)
        write_settings(self.folder, self.config, seed, spawn)
        share_media(self.folder)
        shutil.copytree(_MOD, self.folder / "world" / "worldmods" / "rig")

    def _receive(self, timeout: float, complaint: str) -> Reply:
        try:
            return self._link.receive(timeout)
        except TimeoutError as error:
            raise self._failed(f"{complaint}: nothing came of it for {timeout:g} s") from error
        except (OSError, ValueError) as error:
            raise self._failed(f"ended ({error})") from error
        except BaseException:  # interrupted: the reply that is still to come would be taken for the next one
            self.close()
            raise

    def _failed(self, what: str) -> SimulatorError:
        tail = _tail(self.folder / _LOG)
        self.close()
        return SimulatorError(f"the Minetest engine {what}. The end of its log:\n{tail}")


def start_engine(config: MinetestConfig, seed: int, spawn: Point | None = None) -> MinetestProcess:
    """Return an engine that has started, after `config.attempts` attempts at the most.

    Raises:
        SimulatorError: none of the attempts succeeded; the last one's log is in the message.
        MissingDependencyError: something that it needs is not installed.
    """
    for attempt in range(1, config.attempts + 1):
        try:
            return MinetestProcess(config, seed, spawn)
        except SimulatorError as error:
            if attempt == config.attempts:
                raise SimulatorError(f"{attempt} starts failed, the last one so: {error}") from error
    raise AssertionError("a configuration has at least one attempt")


def _command(native: Native, folder: Path, config: MinetestConfig, lifeline: int) -> list[str]:
    width, height = config.drawn
    display = [required("Xvfb"), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
    world = ["--world", str(folder / "world"), "--gameid", "minetest", "--config", str(folder / "engine.conf")]
    engine = [required("minetest"), "--go", *world, "--name", "agent", "--port", "30000", "--logfile", ""]
    return [str(native.keeper), str(lifeline), str(folder), str(native.library), *display, "--", *engine]


def _environment(folder: Path, config: MinetestConfig, seed: int, link: int, memory: int) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        "GALLIUM_DRIVER": "llvmpipe",
        "LP_NUM_THREADS": "0",
        "MESA_SHADER_CACHE_DIR": str(cache_root() / "minetest" / "shaders"),
        "RIG_LINK": str(link),
        "RIG_FRAME": str(memory),
        "RIG_FRAME_WIDTH": str(config.width),
        "RIG_FRAME_HEIGHT": str(config.height),
        "RIG_WALL_CLOCK": str(_WALL_CLOCK_BEGIN + seed),
    }


def _end(owner: int, started: list[subprocess.Popen[bytes]], lifeline: int, link: Link, folder: Path) -> None:
    """Cut the lifeline: the keeper ends the engine and its display, and removes the folder.

    In a process that was forked from the owner, only the copies of the descriptors are closed.
    """
    link.close()
    os.close(lifeline)
    if os.getpid() != owner:
        return
    for process in started:
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()  # its children are bound to die with it
            process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    kept = [line for line in lines if line.strip()][-_TAIL_LINES:]
    return "\n".join(kept) or "(it is empty)"
