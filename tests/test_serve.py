"""Serving decisions: each client's are its own, whoever asks beside it; bounds, tokens, and an end that waits."""

import gc
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import httpx
import msgpack
import numpy as np
import pytest
from choices import clearly
from serve_makers import QUICK, ask, packed, picture, post, served
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.server import ServerProtocol
from websockets.sync.client import connect as connect_raw

import rig
from rig.actions import NOOP
from rig.agents import FolderSource, HowToPlay, Lookahead
from rig.agents.agent import decision_seed
from rig.agents.policy import PolicyDeciding
from rig.cli.main import main
from rig.client import connect
from rig.envs import make_world
from rig.errors import RigError, ServiceError
from rig.evaluate.config import EmbodiedConfig
from rig.evaluate.embodied import evaluate_embodied
from rig.evaluate.saved import read_rows
from rig.records import Observation, remembered
from rig.serve.config import ServeConfig
from rig.serve.guard import token_of
from rig.serve.server import listen

SAME = HowToPlay(planner_for=lambda _: Lookahead(dreams=1), thought_tokens=12, dtype="float32")
TOKEN = "a token of thirty-two characters"


@pytest.fixture(scope="module")
def quick():
    with served() as server:
        yield server


@pytest.fixture
def gate(monkeypatch):
    """Let no decision be made until the gate is set."""
    opened, advance = Event(), PolicyDeciding.advance

    def waiting(deciding):
        assert opened.wait(20)
        return advance(deciding)

    monkeypatch.setattr(PolicyDeciding, "advance", waiting)
    yield opened
    opened.set()


def frames(count):
    world = make_world("crafter")
    return [world.reset(seed=seed, options={"task": "place_table", "setting": "tool"})[0] for seed in range(count)]


def told(decision):
    """Return all that a decision says but what it took and how its tokens were written."""
    return replace(decision, cost=None, plans=()), [
        (replace(plan, dreams=()), [(dream.thought, dream.action, dream.codes.tolist()) for dream in plan.dreams])
        for plan in decision.plans
    ]


def eventually(holds, seconds=10):
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it does not come to hold"
        time.sleep(0.01)


def test_what_is_served_is_what_the_agent_decides_alone(made):
    """Twelve clients at once, each with its frame, its seed and its past; every answer is asked for twice."""
    policy = FolderSource().actor(str(made.agent), make_world("crafter"), SAME).policy
    seen = [
        Observation(frame=frame, instruction="place a table", previous_action=action)
        for frame, action in zip(frames(6), [NOOP, *map(rig.Action.press, ("move_left", "use"))] * 2, strict=True)
    ]
    alone = [clearly(lambda seed, each=each: policy.decide([each], [seed])[0]) for each in seen]
    with served(made.agent, SAME, batch=8) as server:

        def asked(number):
            it, (seed, _) = seen[number], alone[number]
            with connect(server.ws) as agent:
                return agent.decide(it.frame, it.instruction, it.previous_action, seed=seed)

        with ThreadPoolExecutor(12) as threads:
            together = list(threads.map(asked, [*range(6), *range(6)]))
    assert [told(one) for one in together] == [told(one) for _, one in alone] * 2
    assert all(
        np.array_equal(one.dreams[0].frame, two.dreams[0].frame)
        for one, (_, two) in zip(together, alone * 2, strict=True)
    )
    assert server.desk.made == 12


def test_a_session_remembers_what_was_decided_and_draws_as_an_agent_that_is_loaded(quick):
    from fuzz_agents import good_agent

    mine = rig.load_agent(
        good_agent(),
        planner=Lookahead(dreams=1),
        thought_tokens=2,
        entropy_threshold=99.0,
        dtype="float32",
        temperature=1.0,
    )
    previous, earlier = NOOP, ()
    with connect(quick.ws) as agent:
        for number in range(3):
            decision = agent.decide(picture(number), "wood")
            assert told(decision) == told(mine.decide(picture(number), "wood", previous, earlier_actions=earlier))
            previous, earlier = decision.action, remembered(previous, earlier)
        agent.decide(picture(), "wood", reset=True)
        again = agent.decide(picture(4), "wood", "move_left", earlier_actions=("use",), seed=decision_seed(0, 9))
        alone = mine.decide(picture(4), "wood", "move_left", earlier_actions=("use",), seed=decision_seed(0, 9))
        assert told(again) == told(alone)
    over_http = [post(quick, ask(seed=None)).json() for _ in range(2)]
    assert over_http[0]["seed"] == over_http[1]["seed"] == decision_seed(0, 0), "each request is a session of its own"
    assert over_http[0] | {"cost": 0} == over_http[1] | {"cost": 0}


def test_dreams_that_are_asked_for_are_the_agents_own_whoever_asks_beside(made):
    keys = ["move_left", rig.Action.press("use"), "noop"]
    words = ("go left.", "", "wait.", "stone is above.", "go on.", "a cow lies left.", "wood is held.", "look around.")
    mine = rig.load_agent(made.agent, dtype="float32", thought_tokens=12)
    seen = [frame[:120] for frame in frames(3)]

    def alone(frame, key):
        """Return a thought that leaves no code of the dream narrow, and the dream."""
        number, dreams = clearly(
            lambda number: mine.dream(frame, [key], "place a table", thoughts=[words[number]]), range(len(words))
        )
        return words[number], dreams[0]

    expected = [[alone(frame, key) for key in keys] for frame in seen]
    with served(made.agent, SAME, batch=3) as server:

        def dreamed(number):
            with connect(server.ws) as agent:
                agent.decide(seen[number], "place a table", seed=number)
                thoughts = [thought for thought, _ in expected[number]]
                return agent.dream(seen[number], keys, "place a table", thoughts=thoughts)

        with ThreadPoolExecutor(3) as threads:
            together = list(threads.map(dreamed, range(3)))
        body = {"frame": seen[0], "actions": ["move_left"], "instruction": "place a table", "thoughts": ["go left."]}
        response = post(server, body, path="/v1/dream")
        assert (response.status_code, response.json()["kind"]) == (200, "dreams")
        assert metric(server, 'rig_serve_dreams_total{transport="websocket"}') == 9
        assert metric(server, 'rig_serve_dreams_total{transport="http"}') == 1
    for frame, found, dreams in zip(seen, together, expected, strict=True):
        assert [one.shape for one in found] == [frame.shape] * 3
        assert all(np.array_equal(one, dream) for one, (_, dream) in zip(found, dreams, strict=True))


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"actions": []}, "length >= 1"),
        ({"actions": ["noop"] * 65}, "length <= 64"),
        ({"actions": ["fly"]}, "'fly' is not a key"),
        ({"thoughts": ["a", "b"]}, "2 thoughts for 1 actions"),
        ({"thoughts": ["human: go"]}, "fixed phrase 'human:'"),
        ({"thoughts": ["tree " * 99]}, "there is room for"),
        ({"instruction": "x" * 1001}, "1001 characters, and 1000 are the most"),
        ({"frame": b"not a picture"}, "the frame is no PNG"),
        ({"seed": 1}, "unknown field `seed`"),
    ],
)
def test_what_cannot_be_dreamed_is_refused_and_the_session_goes_on(quick, change, wrong):
    asked = {"frame": picture(), "actions": ["use"], "instruction": "wood"} | change
    with connect_raw(quick.ws) as raw:
        raw.recv()
        answer = say(raw, packed(asked))
        assert answer["error"]["code"] == "bad_message"
        assert re.search(wrong, answer["error"]["message"])
        assert say(raw, packed(ask()))["kind"] == "decision"
    assert post(quick, asked, path="/v1/dream").status_code == 422


def test_clients_of_openpis_kind_are_understood(quick):
    """They pack arrays with names that are bytes, and are told about the server first."""
    frame = picture()
    array = {b"__ndarray__": True, b"data": frame.tobytes(), b"dtype": frame.dtype.str, b"shape": frame.shape}
    with connect_raw(quick.ws, max_size=None, compression=None) as raw:
        assert msgpack.unpackb(raw.recv())["kind"] == "about"
        answer = say(raw, msgpack.packb({"frame": array, "instruction": "wood", "seed": 5}))
    with connect(quick.ws) as agent:
        assert answer["thought"] == agent.decide(frame, "wood", seed=5).thought
    assert answer["plans"][0]["dreams"][0]["frame"].startswith(b"\x89PNG")


def test_an_evaluation_asks_a_server_as_it_would_the_agent(made, tmp_path):
    def scored(agent, out, skip=0):
        config = EmbodiedConfig(
            agent=str(agent),
            tasks=("place_table/tool",),
            episodes=1,
            skip=skip,
            split="validation",
            dreams=1,
            thought_tokens=12,
            most_steps=3,
            temperature=0.0,
            dtype="float32",
        )
        evaluate_embodied(config, tmp_path / out)
        summary = json.loads((tmp_path / out / "summary.json").read_text(encoding="utf-8"))
        rows = [row | {"cost": row["cost"] | {"seconds": 0}} for row in read_rows(tmp_path / out)]
        return sorted(rows, key=lambda row: row["seed"]), summary["runs_in"]

    skip, alone = clearly(lambda skip: scored(made.agent, f"alone-{skip}", skip))
    with served(made.agent, replace(SAME, temperature=0.0)) as server:
        assert scored(server.ws, "served", skip) == alone
        with pytest.raises(RigError, match=r"decides with planner 'Lookahead', and 'Basic' is asked for here"):
            evaluate_embodied(EmbodiedConfig(agent=server.ws), tmp_path / "other")
        with pytest.raises(RigError, match=r"decides with temperature 0\.0, and 0\.5 is asked for here"):
            evaluate_embodied(EmbodiedConfig(agent=server.ws, dreams=1, thought_tokens=12), tmp_path / "other")
    with pytest.raises(ServiceError, match="nobody serves decisions at"):
        evaluate_embodied(EmbodiedConfig(agent=server.ws), tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"instruction": "x" * 1001}, "1001 characters, and 1000 are the most"),
        ({"instruction": "wood " * 150}, "there is room for 64"),
        ({"instruction": "human: wood"}, "fixed phrase 'human:'"),
        ({"previous_action": "fly"}, "'fly' is not a key"),
        ({"earlier_actions": ["noop"] * 64}, "of length <= 63"),
        ({"seed": -1}, "`int` >= 0"),
        ({"seeds": 1}, "unknown field `seeds`"),
        ({"frame": b"not a picture"}, "the frame is no PNG"),
        ({"frame": None}, "the frame cannot be read|at `frame`"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_the_session_goes_on(quick, change, wrong):
    with connect_raw(quick.ws) as raw:
        raw.recv()
        answer = say(raw, packed(ask(**change)))
        assert answer["kind"] == "refused"
        assert answer["error"]["code"] == "bad_message"
        assert re.search(wrong, answer["error"]["message"])
        assert "send msgpack" in say(raw, "text")["error"]["message"]
        assert say(raw, packed(ask()))["kind"] == "decision"
    response = post(quick, ask(**change))
    assert response.status_code == 422
    assert re.search(wrong, response.json()["error"]["message"])


@pytest.mark.parametrize(
    "frame",
    [
        {"__ndarray__": True, "data": b"123", "dtype": "|u1", "shape": (1, 1, 3), "more": 1},
        {"__ndarray__": True, "data": b"12", "dtype": "|u1", "shape": (1, 1, 3)},
        {"__ndarray__": True, "data": b"1234", "dtype": "|u1", "shape": (1, 1, 4)},
        {"__ndarray__": True, "data": b"123", "dtype": "|i1", "shape": (1, 1, 3)},
        {"__ndarray__": True, "data": b"", "dtype": "|u1", "shape": (0, 5, 3)},
        {"__ndarray__": True, "data": b"123", "dtype": "|u1", "shape": (-1, -1, 3)},
        {"__ndarray__": True, "data": b"123", "dtype": "|u1", "shape": (1, 3)},
    ],
)
def test_arrays_that_are_no_frames_are_refused(quick, frame):
    with connect(quick.ws) as agent:
        agent._socket.send(packed(ask(frame=frame)))
        answer = msgpack.unpackb(agent._socket.recv())
    assert "array uint8 [height, width, 3]" in answer["error"]["message"]


def test_a_picture_of_few_bytes_and_many_pixels_is_refused(quick):
    from rig.client.messages import png

    response = post(quick, ask(frame=png(np.zeros((4096, 2048, 3), np.uint8))))
    assert response.status_code == 422
    assert "4194304 are the most" in response.json()["error"]["message"]


def say(raw, data):
    """Say something on a websocket; return what is answered."""
    raw.send(data)
    return msgpack.unpackb(raw.recv())


def test_messages_that_are_too_large_are_refused(quick):
    with connect_raw(quick.ws) as raw:
        raw.recv()
        # The head alone: what the server cuts the connection over unread may take its reason with it.
        raw.socket.sendall(struct.pack("!BBQ4x", 0x80 | Opcode.BINARY, 0x80 | 127, 4_000_001))
        with pytest.raises(ConnectionClosed, match="1009"):
            raw.recv()
    with connect(quick.ws) as agent:
        with pytest.raises(ServiceError, match=r"a message of .* bytes, and .* takes 4000000; send a smaller frame"):
            agent.decide(picture(size=1200), "wood")
        assert agent.decide(picture(), "wood").action, "the session goes on"
    with socket.create_connection(("127.0.0.1", quick.port)) as told_before:
        told_before.sendall(b"POST /v1/decide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000001\r\n\r\n")
        assert b"413" in told_before.recv(100)
    refused = quick.desk.metrics.refusals.labels("too_large")._value.get()
    with socket.create_connection(("127.0.0.1", quick.port)) as chunked, suppress(ConnectionError):
        chunked.sendall(b"POST /v1/decide HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(5):
            chunked.sendall(b"f4240\r\n" + bytes(1_000_000) + b"\r\n")
        came = chunked.recv(100)
        assert not came or b"413" in came, "it may be lost, where the connection is cut for what was not read"
    eventually(lambda: quick.desk.metrics.refusals.labels("too_large")._value.get() == refused + 1)
    assert post(quick, ask(frame=picture(size=900))).status_code == 200, "3.2 MB as JSON"


def test_what_is_said_of_a_server_is_described(quick):
    about = httpx.get(f"{quick.http}/v1/about").json()
    assert about["environment"] == "crafter"
    assert about["deciding"]["options"] == {"dreams": 1, "stop_entropy": None}
    described = httpx.get(f"{quick.http}/openapi.json").json()
    assert set(described["paths"]) == {"/health", "/metrics", "/v1/about", "/v1/decide", "/v1/dream"}
    assert set(described["components"]["schemas"]["Ask"]["required"]) == {"frame", "instruction"}
    named = {part["$ref"].rpartition("/")[2] for part in refs(described)}
    assert named <= set(described["components"]["schemas"])
    assert {"Ask", "AskDreams", "Said", "SaidDreams", "Refused", "About"} <= named
    assert httpx.get(f"{quick.http}/health").json() == {"status": "ok"}


def refs(value):
    if isinstance(value, dict):
        yield from [value] if "$ref" in value else []
        value = value.values()
    if not isinstance(value, str | bytes) and hasattr(value, "__iter__"):
        for part in value:
            yield from refs(part)


def metric(server, name):
    lines = httpx.get(f"{server.http}/metrics").text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def test_metrics_count_what_happens():
    with served() as server:
        post(server, ask())
        with connect(server.ws) as agent:
            agent.decide(picture(), "wood")
            assert metric(server, "rig_serve_clients") == 1
            with pytest.raises(ServiceError, match="bad_message"):
                agent.decide(picture(), "human: wood")
        assert metric(server, 'rig_serve_decisions_total{transport="http"}') == 1
        assert metric(server, 'rig_serve_decisions_total{transport="websocket"}') == 1
        assert metric(server, 'rig_serve_refusals_total{code="bad_message"}') == 1
        assert metric(server, "rig_serve_decision_seconds_count") == 2
        assert metric(server, "rig_serve_waiting") == metric(server, "rig_serve_making") == 0


def test_who_has_no_token_is_refused_and_the_token_is_told_nowhere(capfd):
    with served(token=TOKEN.encode()) as server:
        for wrong in ("x", "another token of as many letters"):
            response = post(server, ask(), authorization=f"Bearer {wrong}")
            assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorised")
            with pytest.raises(ServiceError, match=r"refuses \(unauthorised\)"):
                connect(server.ws, token=wrong)
        assert httpx.get(f"{server.http}/health").status_code == 200
        assert httpx.get(f"{server.http}/metrics").status_code == 401
        assert post(server, ask(), authorization=f"Bearer {TOKEN}").status_code == 200
        assert post(server, ask(), authorization=f"Api-Key {TOKEN}").status_code == 200
        assert post(server, ask(), authorization=f"Basic {TOKEN}").status_code == 401
        with connect(server.ws, token=TOKEN) as agent:
            agent.decide(picture(), "wood")
    assert TOKEN not in "".join(capfd.readouterr())


def test_who_may_listen_where(tmp_path, monkeypatch):
    monkeypatch.delenv("RIG_SERVE_TOKEN", raising=False)
    assert token_of(ServeConfig()) is None
    assert token_of(ServeConfig(host="::1")) is token_of(ServeConfig(host="localhost")) is None
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.org"):
        with pytest.raises(RigError, match="the token has 0 characters, and 16 are the fewest"):
            token_of(ServeConfig(host=host))
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    assert token_of(ServeConfig(token_file=str(file))) == TOKEN.encode()
    monkeypatch.setenv("RIG_SERVE_TOKEN", TOKEN)
    assert token_of(ServeConfig(host="0.0.0.0")) == token_of(ServeConfig()) == TOKEN.encode()
    with pytest.raises(RigError, match="cannot be read"):
        token_of(ServeConfig(token_file=str(tmp_path / "nothing")))
    with listen(ServeConfig(port=0)) as taken, pytest.raises(RigError, match="choose another port, or 0"):
        listen(ServeConfig(port=taken.getsockname()[1]))
    for wrong in ({"port": 70000}, {"clients": 0}, {"idle_seconds": 0}, {"drain_seconds": float("nan")}):
        with pytest.raises(RigError, match=next(iter(wrong))):
            ServeConfig(**wrong)


def test_pages_of_browsers_and_other_names_are_refused(quick):
    """A page from elsewhere can reach loopback, under its own name too where it has that lead there."""
    for headers in ({"Origin": "https://example.org"}, {"Host": "example.org"}, {"Host": f"evil.test:{quick.port}"}):
        assert post(quick, ask(), **headers).status_code == 403
    with pytest.raises(InvalidStatus, match="403"):
        connect_raw(quick.ws, origin="https://example.org")
    assert post(quick, ask(), Host=f"localhost:{quick.port}").status_code == 200


def test_no_more_clients_than_may_be_are_taken_and_the_others_are_told_when_to_come():
    with served(clients=2) as server, connect(server.ws), connect(server.ws) as second:
        with pytest.raises(InvalidStatus) as refused:
            connect_raw(server.ws)
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"] == "1"
        with pytest.raises(ServiceError, match=r"refuses \(busy\): 2 clients are connected"):
            connect(server.ws, timeout=0.5)
        second.close()
        eventually(lambda: server.desk.clients == 1)
        with connect(server.ws) as third:
            third.decide(picture(), "wood")


def test_what_waits_is_bounded_and_who_asks_again_is_served(gate):
    with served(batch=1, waiting=1) as server, ThreadPoolExecutor(4) as threads:
        first = threads.submit(post, server, ask(seed=0))
        eventually(lambda: server.desk.batcher.making == 1)
        second = threads.submit(post, server, ask(seed=1))
        eventually(lambda: server.desk.batcher.waiting == 1)
        refused = post(server, ask(seed=2))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        with connect(server.ws) as agent:
            third = threads.submit(agent.decide, picture(), "wood", seed=2)  # which asks again, as it is told
            eventually(lambda: server.desk.metrics.refusals.labels("busy")._value.get() >= 2)
            gate.set()
            assert [first.result().status_code, second.result().status_code] == [200, 200]
            assert third.result().action is not None


def test_the_end_waits_for_what_was_begun_and_takes_nothing_more(gate):
    with served() as server, ThreadPoolExecutor(2) as threads:
        agent, other = connect(server.ws), connect(server.ws)
        begun = threads.submit(agent.decide, picture(), "wood")
        dreaming = threads.submit(post, server, {"frame": picture(), "actions": ["use", "noop"]}, "/v1/dream")
        eventually(lambda: server.desk.batcher.making + server.desk.batcher.waiting == 2)
        server.server.drain()
        health = httpx.get(f"{server.http}/health")
        assert (health.status_code, health.json()) == (503, {"status": "draining"})
        with pytest.raises(ServiceError, match="draining"):
            other.decide(picture(), "wood")
        with pytest.raises(ServiceError, match="draining"):
            connect(server.ws)
        assert server.thread.is_alive()
        gate.set()
        assert begun.result().action is not None
        assert len(dreaming.result().json()["dreams"]) == 2
        server.thread.join(10)
        assert not server.thread.is_alive()
        with pytest.raises(ServiceError, match="ended the session"):
            agent.decide(picture(), "wood")


def test_a_decision_that_fails_is_told_and_the_next_is_made(monkeypatch, caplog):
    with served() as server:
        advance = PolicyDeciding.advance

        def failing(deciding):
            monkeypatch.setattr(PolicyDeciding, "advance", advance)
            raise MemoryError("no room")

        monkeypatch.setattr(PolicyDeciding, "advance", failing)
        response = post(server, ask())
        assert (response.status_code, response.json()["error"]["code"]) == (500, "failed")
        assert "decisions failed: MemoryError: no room" in caplog.text
        assert post(server, ask()).status_code == 200


def die(server):
    """Ask something by hand, and cut the connection before it is answered."""
    data = packed(ask(frame=picture(size=144)))
    with handshake(server) as plain:
        plain.sendall(b"\x82\xff" + len(data).to_bytes(8, "big") + bytes(4) + data)
        time.sleep(0.01)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def held_connections():
    return [each for each in gc.get_objects() if type(each) is ServerProtocol]


def test_what_the_dead_have_sent_is_let_go_at_once(monkeypatch):
    """Not when garbage is next collected: messages are large, and what holds them is too small to bring that about."""
    monkeypatch.setattr("rig.serve.server._LEAVE_SECONDS", 0.1)
    with served() as server:
        gc.collect()
        gc.disable()
        others = held_connections()  # of servers of other tests, which wait a while before they cut one
        try:
            for _ in range(5):
                die(server)
            eventually(lambda: server.desk.is_idle and not server.desk.clients)
            eventually(lambda: len(held_connections()) <= len(others))
        finally:
            gc.enable()


def test_clients_that_die_leave_nothing_behind(gate):
    with served(clients=4) as server:
        for _ in range(3):
            die(server)
            eventually(lambda: server.desk.batcher.making + server.desk.batcher.waiting > 0)
        gate.set()
        eventually(lambda: server.desk.clients == 0)
        eventually(lambda: server.desk.is_idle)
        with connect(server.ws) as agent:
            assert agent.decide(picture(), "wood", seed=1).action is not None


def test_who_does_not_read_is_left():
    with served(send_buffer=4096, send_seconds=0.2) as server:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", server.port))
        with plain, connect_raw(server.ws, sock=plain, max_queue=1, ping_interval=None, close_timeout=0.1) as raw:
            for number in range(200):
                try:
                    raw.send(packed(ask(seed=number)))
                except ConnectionClosed:
                    break
            eventually(lambda: server.desk.clients == 0, 20)
        with connect(server.ws) as agent:
            agent.decide(picture(), "wood")


def handshake(server):
    """Return a socket on which a websocket has been opened by hand."""
    plain = socket.create_connection(("127.0.0.1", server.port))
    plain.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in plain.recv(64)
    return plain


def test_half_a_message_is_waited_for_and_no_longer(monkeypatch):
    monkeypatch.setattr("rig.serve.server._LEAVE_SECONDS", 0.3)
    with served(idle_seconds=0.3, send_seconds=0.3) as server:
        with handshake(server) as half:
            half.sendall(b"\x82\xfe\x03\xe8" + bytes(10))  # a message of 1,000 bytes, of which a few come
            eventually(lambda: server.desk.clients == 1)
            eventually(lambda: server.desk.clients == 0)
        with socket.create_connection(("127.0.0.1", server.port)) as body:
            body.sendall(b"POST /v1/decide HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            assert b"408" in body.recv(100)
        with socket.create_connection(("127.0.0.1", server.port)) as head:
            head.sendall(b"POST /v1/dec")
            assert head.recv(100) == b"", "it is cut"
        assert post(server, ask()).status_code == 200


def test_connections_beyond_the_bound_are_cut(monkeypatch):
    monkeypatch.setattr("rig.serve.server._SPARE", 2)
    with served(clients=1) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
        eventually(lambda: len(server.server.server_state.connections) == 3)
        for one in silent:
            one.close()
        eventually(lambda: not server.server.server_state.connections)
        assert post(server, ask()).status_code == 200


ALONE = """
import sys
import rig.client
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "pyarrow", "gymnasium", "tokenizers"}))
"""


def test_the_client_needs_no_torch():
    assert subprocess.run([sys.executable, "-c", ALONE], capture_output=True, check=True, text=True).stdout == "[]\n"


def test_who_speaks_something_else_is_told(made):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ServiceError, match="nobody serves decisions"):
        connect(f"ws://127.0.0.1:{silent.getsockname()[1]}", timeout=0.3)
    with pytest.raises(ServiceError, match="nobody serves decisions"):
        connect("http://127.0.0.1:1")
    with pytest.raises(ServiceError, match="nobody serves decisions"):
        connect("ws://127.0.0.1:1")


def test_the_command_serves_until_it_is_ended_and_answers_what_it_took(tmp_path):
    from fuzz_agents import good_agent

    command = [sys.executable, "-m", "rig", "serve", "--agent", str(good_agent()), "--port", "0", "--json"]
    command += ["--dreams", "1", "--thought-tokens", "2", "--entropy-threshold", "9"]
    environment = os.environ | {"RIG_SERVE_TOKEN": TOKEN}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment
    )
    try:
        line = process.stderr.readline()
        url = line.split("decides at ")[1].split()[0]
        with connect(url, token=TOKEN) as agent, ThreadPoolExecutor(1) as threads:
            assert agent.about.agent == Path(good_agent()).name
            agent.decide(picture(), "wood")
            asked = threads.submit(partial(agent.decide, picture(1), "wood"))
            eventually(lambda: "making 1.0" in metrics(url) or asked.done())
            process.send_signal(signal.SIGTERM)
            assert asked.result(20).action is not None
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert json.loads(out)["decisions"] == 2
    assert TOKEN not in line + err
    assert "Traceback" not in err


def metrics(url):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.get(f"{url.replace('ws:', 'http:')}/metrics", headers=headers).text.replace(
        "rig_serve_making", "making"
    )


def test_mistakes_of_the_command_are_told(capsys, made, monkeypatch):
    monkeypatch.delenv("RIG_SERVE_TOKEN", raising=False)
    assert main(["serve", "--agent", str(made.agent), "--host", "0.0.0.0"]) == 2
    assert "set RIG_SERVE_TOKEN, or give a --token-file" in capsys.readouterr().err
    assert main(["serve", "--agent", "nothing", "--port", "0"]) == 2
    assert "agent.json is missing" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert main(["serve", "--agent", str(made.agent)]) == 2
    assert "pip install 'rig-agent[serve]'" in capsys.readouterr().err


def test_what_is_quick_is_what_is_served(quick):
    assert quick.desk.about.deciding == QUICK.told(Lookahead(dreams=1))
