"""A playground in a thread of the tests, on loopback, and a page that is no browser."""

import json
import socket
from contextlib import contextmanager
from threading import Event, Thread
from types import SimpleNamespace

from fuzz_agents import good_agent
from websockets.sync.client import connect

from rig.playground.app import Doors
from rig.playground.config import PlaygroundConfig
from rig.playground.house import open_house
from rig.playground.server import Server
from rig.serve.server import address_of, listen


@contextmanager
def playground(agent=None, *, token=None, send_buffer=None, **config):
    """Serve a playground with an agent, or the fuzzers' small untrained one; yield addresses, doors, and the server."""
    quick = {"thought_tokens": 4, "entropy_threshold": 99.0, "temperature": 1.0, "dtype": "float32", "dreams": 1}
    config = PlaygroundConfig(port=0, agent=str(agent or good_agent()), **(quick | config))
    with listen(config.serving) as listening:
        if send_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        doors, ready = Doors(open_house(config)), Event()
        server = Server(doors, token, ready.set)
        thread = Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        assert ready.wait(20)
        address = address_of(listening)
        try:
            yield SimpleNamespace(
                http=f"http://{address}/", ws=f"ws://{address}/play", doors=doors, server=server, thread=thread
            )
        finally:
            server.should_exit = True
            thread.join(30)
            doors.close()


class Tab:
    """What a page is to its server: it says, and hears."""

    def __init__(self, url, **options):
        self.socket = connect(url, compression=None, **options)
        self.about = self.until("about")

    def say(self, say, **fields):
        """Say something."""
        self.socket.send(json.dumps({"say": say, **fields}))

    def hear(self, seconds=20):
        """Return what is told next."""
        return json.loads(self.socket.recv(timeout=seconds))

    def until(self, kind, holds=lambda told: True):
        """Return the next thing of a kind for which something holds; forget what is told before it.

        Raises:
            AssertionError: an error is told of in its place.
        """
        while True:
            told = self.hear()
            if told["kind"] == kind and holds(told):
                return told
            assert told["kind"] != "error" or kind == "error", told

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
