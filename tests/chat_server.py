"""A real HTTP server that speaks OpenAI's chat completions, answers as a model would, and misbehaves as servers do.

In a test's own process `ChatServer` runs it in threads. As a process of its own, which can be killed and come back:

    python tests/chat_server.py --port 8000 --log answers.jsonl --failures 0.2

It prints "listening PORT". Every answer that it gives is a line in the log, across restarts: what a server charges.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODEL = "tiny-vision"
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
FAULTS = ("500", "503", "429", "429 date", "page", "dropped")
"""What befalls a call before the model is asked, so that nothing is charged."""

_MODES = {"json_schema": "nested", "json_object": "object"}


def mode_of(body):
    """Return the way in which a request asks for JSON."""
    wanted = body.get("response_format")
    if wanted is None:
        return "prompt"
    return "flat" if wanted["type"] == "json_schema" and "schema" in wanted else _MODES[wanted["type"]]


def texts_of(message):
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def pictures_of(body):
    contents = [message["content"] for message in body["messages"]]
    return [
        part["image_url"]
        for content in contents
        if isinstance(content, list)
        for part in content
        if "image_url" in part
    ]


def good_answer(body):
    """Return what an obedient model answers: it repeats the action that it was told, and says a thought about it."""
    asked = texts_of(body["messages"][1])
    if found := re.search(r"^Action taken: (.*)$", asked, re.MULTILINE):
        return {"thought": ["I look around", f"So I do it: {found[1]}"], "action": found[1]}
    proposal = re.search(r"^The plan's first action: (.*)$", asked, re.MULTILINE)[1]
    better = re.search(r"^The expert's action: (.*)$", asked, re.MULTILINE)[1]
    verdict = "keep" if proposal == better else "change"
    clauses = [f"The plan was: {proposal}", "It leads there", f"I {verdict} it", f"So I do it: {better}"]
    return {"thought": clauses, "verdict": verdict, "action": better}


class Ledger:
    """Every answer that was given, in memory and, where there is a log, on disk."""

    def __init__(self, log=None):
        self.log = Path(log) if log else None
        self.lock = threading.Lock()
        self.rows = []
        if self.log and self.log.exists():
            self.rows = [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    def charge(self, body, read, written):
        row = {"request": sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(), "in": read, "out": written}
        with self.lock:
            self.rows.append(row)
            if self.log:
                with self.log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")

    def totals(self):
        """Return calls, tokens read and written, and the most often that one request was answered."""
        with self.lock:
            often = Counter(row["request"] for row in self.rows)
            tokens = [sum(row[name] for row in self.rows) for name in ("in", "out")]
            return len(self.rows), *tokens, max(often.values(), default=0)


class ChatServer(ThreadingHTTPServer):
    """The server.

    Args:
        port: 0 for any.
        log: file of the answers given.
        modes: ways to ask for JSON that it takes; any other is a 400.
        answer: a request's body -> what the model says: a dict is written as JSON, a text as it is.
        fault: (number of the call, body) -> what befalls it, or None.
        latency: seconds that the model takes.
        key: the key that it wants, or None.
        usage: whether it says how many tokens were used.
        models: what it offers; None: it has no such route.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(
        self,
        port=0,
        *,
        log=None,
        modes=("nested", "flat", "object", "prompt"),
        answer=good_answer,
        fault=lambda number, body: None,
        latency=0.0,
        key=None,
        usage=True,
        models=(MODEL,),
        finish="stop",
        extra=None,
    ):
        super().__init__(("127.0.0.1", port), _Handler)
        self.ledger, self.modes, self.answer, self.fault = Ledger(log), modes, answer, fault
        self.latency, self.key, self.usage, self.models = latency, key, usage, models
        self.finish, self.extra = finish, extra or {}
        self.number, self.bodies, self.keys_seen, self.paths = 0, [], set(), []
        self.lock, self.at_once, self.most_at_once = threading.Lock(), 0, 0
        self.held = threading.Event()
        self.began = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request, client_address):
        pass  # whoever asked has gone

    def end(self):
        self.held.set()
        self.shutdown()
        self.server_close()


@contextmanager
def serving(**how):
    """Yield a server that runs in threads of this process."""
    server = ChatServer(**how)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.end()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.paths.append(self.path)
        if self._is_locked():
            return
        if self.path != "/v1/models" or self.server.models is None:
            self._send(404, {"error": {"message": "no such route"}})
        elif isinstance(self.server.models, int):
            self._send(self.server.models, {"error": {"message": "missing scope: api.model.read"}})
        elif isinstance(self.server.models, bytes):
            self._send(200, self.server.models, "text/html")
        else:
            self._send(200, {"object": "list", "data": [{"id": name} for name in self.server.models]})

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            server.number += 1
            number = server.number
            server.bodies.append(body)
            server.keys_seen.add(self.headers["Authorization"])
            server.began.append(time.monotonic())
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            self._answer(number, body)
        finally:
            with server.lock:
                server.at_once -= 1

    def _answer(self, number, body):
        server = self.server
        if self._is_locked():
            return
        fault = server.fault(number, body)
        if fault is not None and self._misbehave(fault, body):
            return
        if mode_of(body) not in server.modes:
            self._send(400, {"error": {"message": "response_format is not supported here", "code": 400}})
        elif server.models and body["model"] not in server.models:
            self._send(404, {"error": {"message": f"The model `{body['model']}` does not exist"}})
        else:
            time.sleep(server.latency)
            self._complete(body, fault)

    def _complete(self, body, fault=None):
        server = self.server
        said = server.answer(body)
        text = said if isinstance(said, str) else json.dumps(said)
        read = 7 * len(body["messages"]) + 100 * len(pictures_of(body))
        written = len(text) // 4
        finish = server.finish(body) if callable(server.finish) else server.finish
        message = {"role": "assistant", "content": text} | server.extra
        found = {"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        if server.usage:
            found["usage"] = {"prompt_tokens": read, "completion_tokens": written}
        server.ledger.charge(body, read, written)
        if fault == "cut off":  # charged, and lost on the way
            data = json.dumps(found).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data[:-20])
            self._hang_up()
        else:
            self._send(200, found)

    def _misbehave(self, fault, body):
        """Do what befalls a call; return whether that is all."""
        if fault in ("500", "503", "408", "409"):
            self._send(int(fault), {"error": {"message": "the engine is overloaded"}})
        elif fault.startswith("429"):
            soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
            wait = soon if fault == "429 date" else fault.partition(" after ")[2] or "0.05"
            self._send(429, {"error": {"message": "slow down"}}, headers={"Retry-After": wait})
        elif fault == "quota":
            self._send(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})
        elif fault == "page":
            self._send(502, PAGE, "text/html")
        elif fault == "page 200":
            self._send(200, PAGE, "text/html")
        elif fault == "dropped":
            self._hang_up()
        elif fault == "hang":
            self.server.held.wait(30)
        elif fault in ("drip", "drip head"):
            self._drip(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 4000\r\n\r\n" if fault == "drip" else b""))
        elif fault == "no json":
            self._send(200, b'{"choices": [', "application/json")
        elif fault == "error 200":
            self._send(200, {"error": {"message": "engine crashed"}})
        elif fault.startswith("echo key"):
            self._send(400, {"error": {"message": f"bad request with {self.headers['Authorization']}"}})
        else:
            return False
        return True

    def _hang_up(self):
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _drip(self, head):
        self.wfile.write(head)
        for _ in range(2000):
            self.wfile.write(b"X")
            self.wfile.flush()
            if self.server.held.wait(0.02):
                return

    def _is_locked(self):
        key = self.server.key
        if key is None or self.headers["Authorization"] == f"Bearer {key}":
            return False
        self._send(401, {"error": {"message": f"Incorrect API key provided: {self.headers['Authorization']}"}})
        return True

    def _send(self, status, what, kind="application/json", headers=None):
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


class ServerProcess:
    """The server as a process of its own, at one port for ever, that can be ended and started anew."""

    def __init__(self, log, *, failures=0.0, malformed=0.0, latency=0.0, seed=0):
        self.log, self.port = Path(log), 0
        self.how = ["--failures", failures, "--malformed", malformed, "--latency", latency, "--seed", seed]
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self):
        words = [sys.executable, __file__, "--port", self.port, "--log", self.log, *self.how]
        self.process = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline().split()[1])

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(30)
        self.process.stdout.close()

    def ledger(self):
        return Ledger(self.log)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log")
    parser.add_argument(
        "--failures", type=float, default=0.0, help="share of calls that fail before the model is asked"
    )
    parser.add_argument("--malformed", type=float, default=0.0, help="share of first answers that are no JSON")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(f"{given.seed}/{time.time_ns() if given.seed < 0 else 0}")

    def fault(number, body):
        return rng.choice(FAULTS) if rng.random() < given.failures else None

    def answer(body):
        spoilt = len(body["messages"]) == 2 and rng.random() < given.malformed
        return "Sure! Here is {the JSON" if spoilt else good_answer(body)

    server = ChatServer(given.port, log=given.log, fault=fault, answer=answer, latency=given.latency)

    def leave(*_):
        """End as a server that is restarted does: what was charged is sent."""
        threading.Thread(target=drained, daemon=True).start()

    def drained():
        server.fault = lambda *_: "dropped"
        while server.at_once:
            time.sleep(0.002)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    print("listening", server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
