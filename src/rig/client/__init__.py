"""A client of `rig serve`, without torch: numpy, Pillow, msgspec and websockets are all that it needs.

from rig.client import connect

with connect("ws://127.0.0.1:8000") as agent:
    decision = agent.decide(frame, "collect wood")
"""

from rig.client.remote import TOKEN, RemoteAgent, connect

__all__ = ["TOKEN", "RemoteAgent", "connect"]
