"""What a page of the playground says, spoilt and in any order: it is done or refused by name, and nothing ends.

PYTHONPATH=src:tests python -c "import fuzz_playground; print(fuzz_playground.run(10000, seed=0))"
"""

import atexit
import json
import logging
import shutil
import socket
import tempfile
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path

from data_mutations import ROOM, outcomes_of, spoil_bytes, spoil_json
from fuzz_serve import OPENING, Complaints
from playground_makers import Tab, playground
from websockets.exceptions import ConnectionClosed

from rig.data import Dataset

KEYS = ("move_left", "use", "noop", "sleep", "fly")
TASKS = ("collect_wood/manual", "place_table/tool")
VIEWS = ("watch", "dream", "record")
_PATIENCE = 0.05


def a_message(rng):
    """Return something that a page could say, and the view in which it can be done; None of what any view does."""
    key = [rng.choice(KEYS)]
    return rng.choice(
        (
            (None, {"say": "begin", "task": rng.choice(TASKS), "number": rng.choice((0, 1))}),
            *((None, {"say": "view", "view": view}) for view in VIEWS),
            *(("watch", {"say": word}) for word in ("run", "pause", "step", "take-over", "hand-back")),
            ("watch", {"say": "press", "keys": key, "turn": [0.0, 5.0]}),
            ("watch", {"say": "ask", "instruction": "collect wood", "thought": "go", "review": "no"}),
            ("watch", {"say": "ask"}),
            ("watch", {"say": "planner", "planner": rng.choice(("1 dream", "at once", "best of 2"))}),
            ("dream", {"say": "press", "keys": key}),
            ("dream", {"say": "wake"}),
            ("dream", {"say": "reality", "on": rng.random() < 0.5}),
            *(("record", {"say": word}) for word in ("keep", "drop")),
            ("record", {"say": "record", "on": rng.random() < 0.7, "waits": rng.random() < 0.5}),
            ("record", {"say": "keys", "keys": key, "tapped": ["use"], "turn": [1, 2]}),
        )
    )


class _Playing:
    """A playground, and a page of it that says everything."""

    def __init__(self):
        stack, self.complaints, self.numbers = ExitStack(), Complaints(), count()
        folder = Path(tempfile.mkdtemp(dir=ROOM))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self.record = folder / "s0"
        quick = {"thought_tokens": 2, "plans": 2, "hertz": 100, "messages_per_second": 1e6, "record": str(self.record)}
        self.server = stack.enter_context(playground(**quick))
        atexit.register(stack.close)
        for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi", "rig.playground", "asyncio"):
            logging.getLogger(name).addHandler(self.complaints)
        self.tab, self.view = Tab(self.server.ws), ""

    def turn_to(self, view):
        """Look at a view."""
        if view != self.view:
            self.say(json.dumps({"say": "view", "view": view}))
            self.view = view

    def say(self, data):
        """Say something; return what is complained of until what is said behind it has been answered."""
        mark, errors = f"mark-{next(self.numbers)}", []
        self.tab.socket.send(data)
        self.tab.say("begin", task=mark)
        while True:
            told = self.tab.hear()
            if told["kind"] == "error" and f"'{mark}'" in told["message"]:
                return errors
            errors += [told] if told["kind"] == "error" else []

    def half(self, data):
        """Say something that may be half of anything, on a connection of its own."""
        host, port = self.server.http.removeprefix("http://").strip("/").split(":")
        with socket.create_connection((host, int(port)), timeout=_PATIENCE) as plain:
            try:
                plain.sendall(data)
                while plain.recv(65536):
                    pass
            except (TimeoutError, ConnectionError):
                pass


@cache
def running():
    """Return the playground, begun once in this process."""
    return _Playing()


def _case(rng, _):
    playing = running()
    if rng.random() < 0.02:
        playing.half(spoil_bytes(OPENING.replace(b"GET /", b"GET /play") + rng.randbytes(40), rng))
        return "cut"
    if rng.random() < 0.01:
        with Tab(playing.server.ws) as other:
            assert other.about["agent"]
        return "another page"
    view, message = a_message(rng)
    if view and rng.random() < 0.8:
        playing.turn_to(view)
    playing.view = "" if message["say"] == "view" else playing.view
    data = spoil_json(message, rng) if rng.random() < 0.4 else json.dumps(message)
    if rng.random() < 0.2:
        data = spoil_bytes(data.encode(errors="surrogatepass"), rng)
    elif rng.random() < 0.05:
        data = data * rng.choice((2, 50))
    try:
        errors = playing.say(data)
    except ConnectionClosed as closed:
        if closed.rcvd is None or closed.rcvd.code != 1009:
            raise
        playing.tab, playing.view = Tab(playing.server.ws), ""
        return "too large"
    assert all(error["code"] in ("refused", "bad_message") and error["message"] for error in errors), errors
    assert not playing.complaints.found, playing.complaints.found[0]
    return "refused" if errors else "done"


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Say `count` things; return the outcomes' counts. What was recorded meanwhile is a dataset that is whole.

    Raises:
        AssertionError: seed and case are named.
    """
    outcomes = outcomes_of(_case, count, seed)
    if (running().record / "manifest.json").exists():
        Dataset(running().record).verify()
    return outcomes
