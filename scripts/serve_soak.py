"""Serve many clients for long, of which some die at random moments: no answer is lost or another's, and nothing grows.

    python scripts/serve_soak.py --agent checkpoints/rig-crafter-small --clients 64 --minutes 10

Every client asks one of a few questions, whose answers the agent has given alone before, on a connection on which it
stays or which it cuts before it is answered. The last line is the counts as JSON; the exit status is 1 where an answer
was lost or another's, where a question was answered otherwise than alone by more than rounding explains (`--other`),
or where the server did not end well.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rig.agents import load_agent
from rig.client import RemoteAgent, connect
from rig.client.messages import array_map, pack
from rig.envs import Split, make_world
from rig.errors import ServiceError
from rig.records import Decision, Frame

LINGER = b"\1\0\0\0\0\0\0\0"
"""A socket that is closed at once, whatever is still to be sent or read."""


def main() -> int:
    """Run for so long; print what was counted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agent", default="checkpoints/rig-crafter-small")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--die", type=float, default=0.1, help="the share of questions whose client dies")
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--other", type=float, default=0.01, help="the share that may be answered otherwise than alone")
    given = parser.parse_args()
    questions, answers = asked_alone(given.agent, given.questions)
    command = [sys.executable, "-m", "rig", "serve", "--agent", given.agent, "--dtype", "float32", "--port", "0"]
    command += ["--clients", str(2 * given.clients), "--waiting", str(2 * given.clients)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8")
    assert server.stderr is not None
    url = server.stderr.readline().split("decides at ")[1].split()[0]
    soak = Soak(url, questions, answers, given.die, time.monotonic() + 60 * given.minutes)
    threads = [threading.Thread(target=soak.client, args=(number,)) for number in range(given.clients)]
    for thread in threads:
        thread.start()
    held = watched(server.pid, threads)
    server.terminate()
    _, told = server.communicate()
    found = dict(soak.counts) | {"held": held, "status": server.returncode, "complaints": told.count("Traceback")}
    print(json.dumps(found))
    bad = soak.counts["lost"] or soak.counts["foreign"] or server.returncode or found["complaints"]
    return int(bool(bad) or soak.counts["other"] > given.other * soak.counts["answered"])


def asked_alone(agent: str, count: int) -> tuple[list[tuple[Frame, str, int]], list[Decision]]:
    """Return questions, each a frame, an instruction and a seed, and what the agent decides in each alone."""
    loaded = load_agent(agent, dtype="float32")
    world = make_world(loaded.environment)
    task, setting = next(iter(world.tasks.variants(())))
    questions = []
    for seed in world.episode_seeds(task, setting, Split.VALIDATION, count):
        frame, _ = world.reset(seed=seed, options={"task": task.name, "setting": setting})
        questions.append((frame, task.instruction, seed % 2**32))
    return questions, [loaded.decide(frame, instruction, seed=seed) for frame, instruction, seed in questions]


def watched(server: int, threads: Sequence[threading.Thread]) -> list[dict[str, int]]:
    """Return what the server holds, looked at now and then until the clients are done."""
    held = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(5)
        status = Path(f"/proc/{server}/status").read_text(encoding="utf-8")
        size = re.search(r"VmRSS:\s+(\d+)", status)
        files = len(list(Path(f"/proc/{server}/fd").iterdir()))
        held.append({"megabytes": int(size[1]) // 1000 if size else 0, "files": files})
        print(held[-1], file=sys.stderr, flush=True)
    return held


class Soak:
    """Clients of one server, and what became of what they asked.

    Args:
        url: where it is.
        questions: what may be asked.
        answers: to each, what the agent says alone.
        die: the share of questions whose client dies.
        until: when to stop, by the monotonic clock.
    """

    def __init__(
        self,
        url: str,
        questions: Sequence[tuple[Frame, str, int]],
        answers: Sequence[Decision],
        die: float,
        until: float,
    ) -> None:
        self._url, self._questions, self._die, self._until = url, questions, die, until
        self._said = [(answer.action, answer.thought) for answer in answers]
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def client(self, number: int) -> None:
        """Ask until the time is over."""
        rng, agent = random.Random(number), connect(self._url)
        while time.monotonic() < self._until:
            chosen = rng.randrange(len(self._questions))
            if rng.random() < self._die:
                self._dies(agent, chosen, rng)
                agent = connect(self._url)
                continue
            try:
                self._count(self._judged(agent, chosen))
            except ServiceError as error:
                print(error, file=sys.stderr, flush=True)
                self._count("lost")
                agent = connect(self._url)
        agent.close()

    def _judged(self, agent: RemoteAgent, chosen: int) -> str:
        frame, instruction, seed = self._questions[chosen]
        decision = agent.decide(frame, instruction, "noop", earlier_actions=(), seed=seed)
        said = (decision.action, decision.thought)
        self._count("answered")
        if said == self._said[chosen]:
            return "same"
        return "foreign" if said in self._said else "other"

    def _dies(self, agent: RemoteAgent, chosen: int, rng: random.Random) -> None:
        """Ask, and cut the connection at some moment before or after the answer."""
        frame, instruction, seed = self._questions[chosen]
        raw: Any = agent._socket
        raw.send(pack({"frame": array_map(frame), "instruction": instruction, "seed": seed}))
        time.sleep(rng.random() * 0.5)
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        raw.socket.close()
        self._count("died")

    def _count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1


if __name__ == "__main__":
    sys.exit(main())
