"""Part of `minestudio_check`: a game at the other end of the socket over which MineStudio speaks to Minecraft.

It understands what Malmo's client sends, a message a line here, each behind its length in four bytes:

    <MalmoEnv…/>                        nothing is answered
    <Quit/>                             1
    <MissionInit …>, then a token       1; the token ends with the world's seed
    <Peek/>                             frame, facts, whether it is done
    <StepClient0>verb value …           frame; reward, done, sent; facts
    <StepServer></StepServer>           nothing

and plays the small game of the tests' doubles, whose frames go bottom line first, as OpenGL gives them.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from contextlib import suppress
from typing import Any

import numpy as np
from minestudio_package import doubles

from rig.actions import MINERL

COMMAND = re.compile(r"/replaceitem entity @p (hotbar|inventory)\.(\d+) minecraft:(\w+) (\d+)")
TOLD_NOTHING = ("chat", "voxels", "mobs", "pickItem")
SLOW = 2
"""Ticks until what a command gives is in the inventory."""


class GameServer:
    """A game that one client plays; what `_MultiAgentEnv` asks of an instance of Minecraft.

    Attributes:
        game: the one that is played.
        missions: the XML of each episode.
        seeds: the seed of each.
        pressed: keys and turn of each tick.
        chats: the commands of the last episode.
        faults: what it was told and did not understand; it hangs up then.
        hangs_up: whether it does at the next tick or start.
    """

    host = "127.0.0.1"

    def __init__(self) -> None:
        self.fake = doubles()["fake_minecraft"]
        self.client_socket: socket.socket | None = None
        self.running = self.had_to_clean = False
        self.game: Any = None
        self.missions: list[str] = []
        self.seeds: list[int] = []
        self.pressed: list[tuple[frozenset[str], tuple[float, float]]] = []
        self.chats: list[str] = []
        self.faults: list[str] = []
        self.hangs_up = False
        self._waiting: list[tuple[int, int, str, int]] = []
        self._listening = socket.create_server((self.host, 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                with client, suppress(ConnectionError):
                    self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        while (message := _received(client)) is not None:
            text = message.decode()
            if self.hangs_up and text.startswith(("<StepClient0>", "<MissionInit")):
                self.hangs_up = False
                return
            try:
                replies = self._replies(text, client)
            except Exception as error:
                self.faults.append(f"{type(error).__name__}: {error} of {text[:300]}")
                return
            for reply in replies:
                client.sendall(struct.pack("!I", len(reply)) + reply)

    def _replies(self, text: str, client: socket.socket) -> list[bytes]:
        if text.startswith("<StepClient0>"):
            self._tick(text.removeprefix("<StepClient0>").removesuffix("</StepClient0 >"))
            return [self._frame(), struct.pack("!dbb", 0.0, 0, 1), self._facts()]
        if text == "<Peek/>":
            return [self._frame(), self._facts(), struct.pack("!b", 0)]
        if text == "<Quit/>":
            return [struct.pack("!I", 1)]
        if text.startswith("<MissionInit"):
            self._begin(text, (_received(client) or b"").decode())
            return [struct.pack("!I", 1)]
        assert text.startswith(("<MalmoEnv0.37.0/>", "<StepServer>", "<Disconnect/>")), "no message that is known"
        return []

    def _begin(self, mission: str, token: str) -> None:
        """Start an episode: `token` is its identity, role, resets, players, whether it is in step, and the seed."""
        parts = token.split(":")
        assert len(parts) == 6, f"a token without a seed: {token}"
        biome = re.search(r"<PreferredSpawnBiome>(\w+)</PreferredSpawnBiome>", mission)
        assert biome is not None, f"a mission without a biome: {mission}"
        self.missions.append(mission)
        self.seeds.append(int(parts[5]))
        self.chats, self.pressed, self._waiting = [], [], []
        self.game = self.fake.Game(self.seeds[-1], biome[1], (self.fake.WIDTH, self.fake.HEIGHT))

    def _tick(self, commands: str) -> None:
        action: dict[str, Any] = {"camera": (0.0, 0.0)}
        for line in commands.split("\n"):
            verb, _, value = line.partition(" ")
            if verb == "camera":
                pitch, yaw = map(float, value.split(" "))
                action["camera"] = pitch, yaw
            elif verb == "chat" and value:
                self._chat(value)
            elif verb in MINERL.keys:
                assert value in ("0", "1"), f"a key that the game does not read: {line!r}"
                action[verb] = int(value)
            else:
                assert verb in TOLD_NOTHING, f"no verb of the game's: {line!r}"
        keys = frozenset(verb for verb, value in action.items() if verb != "camera" and value)
        self.pressed.append((keys, action["camera"]))
        self.game.tick(action)
        self._waiting = [(ticks - 1, *given) for ticks, *given in self._waiting]
        for ticks, slot, item, count in self._waiting:
            if ticks == 0:
                self.game.put(slot, item, count)

    def _chat(self, command: str) -> None:
        found = COMMAND.fullmatch(command)
        assert found is not None, f"no command of the game's: {command!r}"
        self.chats.append(command)
        slot = int(found[2]) + (9 if found[1] == "inventory" else 0)
        self._waiting.append((SLOW, slot, found[3], int(found[4])))

    def _frame(self) -> bytes:
        return np.ascontiguousarray(self.game.frame()[::-1]).tobytes()

    def _facts(self) -> bytes:
        game = self.game
        slots = [{"slot_id": slot, "type": item, "quantity": count} for slot, (item, count) in enumerate(game.slots)]
        told = {
            "inventory": slots,
            "xpos": game.x,
            "ypos": game.y,
            "zpos": game.z,
            "pitch": game.pitch,
            "yaw": game.yaw,
            "isGuiOpen": game.gui,
            "health": game.health,
            "food_level": 20,
            **{name: {kind: int(count) for kind, count in counts.items()} for name, counts in game.stats.items()},
        }
        return json.dumps(told).encode()


def _received(client: socket.socket) -> bytes | None:
    """Return a message, or None where the other side has gone."""
    head = _exactly(client, 4)
    return None if head is None else _exactly(client, struct.unpack("!I", head)[0])


def _exactly(client: socket.socket, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        more = client.recv(count - len(found))
        if not more:
            return None
        found += more
    return found
