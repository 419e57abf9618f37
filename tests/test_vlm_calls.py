"""Calls to a server that speaks OpenAI's API, over a real socket: whatever it does, each answer is paid for once."""

import asyncio
import random
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from chat_server import MODEL, ServerProcess, serving
from vlm_makers import call_of, calling, manner_of

from rig.annotators.vlm.asked import Reply
from rig.annotators.vlm.caller import Caller, GaveUp, NoRoom
from rig.annotators.vlm.pacing import LONGEST_PAUSE, pause_behind
from rig.annotators.vlm.store import Budget, Payer, Store
from rig.annotators.vlm.transport import Refused, Server, Stop, Transient, wanted_pause
from rig.errors import RigError

TESTS = Path(__file__).parent
PAYER = Payer(account="a", role="reasoner")


def attempt(server, timeout=5.0, key="none", what=lambda end: end.complete(call_of(1).body)):
    """Return what comes of one attempt."""

    async def once():
        end = Server(server.url, key, timeout)
        try:
            return await what(end)
        finally:
            await end.close()

    return asyncio.run(once())


# One attempt


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("500", "500", "answers 500: the engine is overloaded"),
        ("503", "503", "answers 503"),
        ("408", "408", "answers 408"),
        ("409", "409", "answers 409"),
        ("429", "429", "answers 429: slow down"),
        ("page", "502", "answers 502: an HTML page called '502 Bad Gateway', where JSON belongs"),
        ("page 200", "page", "answers with an HTML page called '502 Bad Gateway'"),
        ("no json", "broken", "sent what is no answer"),
        ("error 200", "broken", "sent what is no answer: engine crashed"),
        ("dropped", "connection", "the connection to .* failed"),
        ("cut off", "connection", "the connection to .* failed"),
    ],
)
def test_what_may_go_well_the_next_time_is_told_apart_and_named(fault, kind, said):
    with serving(fault=lambda *_: fault) as server, pytest.raises(Transient, match=said) as raised:
        attempt(server)
    assert raised.value.kind == kind


@pytest.mark.parametrize("fault", ["hang", "drip", "drip head"])
def test_a_server_that_hangs_or_drips_holds_nobody_up(fault):
    with serving(fault=lambda *_: fault) as server:
        began = time.monotonic()
        with pytest.raises(Transient, match=r"gave no whole answer in 0\.3 s") as raised:
            attempt(server, timeout=0.3)
        assert time.monotonic() - began < 15, "all of it would take 30 and more"
        assert raised.value.maybe_charged


def test_nobody_there_is_an_attempt_that_failed_and_cost_nothing():
    with serving() as server:
        pass
    with pytest.raises(Transient, match="the connection to") as raised:
        attempt(server)
    assert not raised.value.maybe_charged


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ({"key": "sk-right-one"}, Stop, r"refuses the key \(401: .*key_variable"),
        ({"fault": lambda *_: "quota"}, Stop, "no money left"),
        ({"models": ("another",)}, Stop, "knows no model 'tiny-vision'"),
        ({"modes": ()}, Refused, "answers 400: response_format is not supported here"),
    ],
)
def test_what_will_never_go_well_is_not_tried_again(how, kind, said):
    with serving(**how) as server, pytest.raises(kind, match=said):
        attempt(server)


def test_a_server_that_repeats_the_key_does_not_have_it_told():
    for how in ({"fault": lambda *_: "echo key"}, {"key": "sk-another"}):
        with serving(**how) as server, pytest.raises((Refused, Stop)) as raised:
            attempt(server, key="sk-very-secret")
        assert "[key]" in str(raised.value)
        assert "very-secret" not in str(raised.value)
    with serving(answer=lambda _: "the key is sk-very-secret") as server:
        assert attempt(server, key="sk-very-secret").text == "the key is [key]"


def test_usage_may_be_absent_and_reasoning_is_kept_apart():
    with serving(usage=False, extra={"reasoning_content": "hm"}, answer=lambda _: "<think>so</think>{}") as server:
        assert attempt(server) == Reply(text="{}", reasoning="hm\nso", finish="stop")
    with serving(answer=lambda _: "{}") as server:
        assert attempt(server) == Reply(text="{}", finish="stop", tokens_in=14, tokens_out=0)


def test_a_list_of_models_may_be_missing_and_a_page_in_its_place_is_named():
    def models(**how):
        with serving(**how) as server:
            return attempt(server, what=lambda end: end.models())

    assert models() == [MODEL]
    assert models(models=None) is None
    assert models(models=403) is None, "a key may be good for answers alone"
    with pytest.raises(Stop, match=r"an HTML page.*is base_url right, up to and including /v1"):
        models(models=b"<html><title>Welcome</title></html>")


# Pauses


def test_a_wanted_pause_is_read_in_all_its_forms():
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert wanted_pause({"retry-after": "2.5"}) == 2.5
    assert wanted_pause({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    assert 27 < wanted_pause({"retry-after": format_datetime(soon, usegmt=True)}) <= 30
    assert wanted_pause({"retry-after": format_datetime(soon - timedelta(hours=1), usegmt=True)}) == 0
    for junk in ("", "soon", "nan", "inf", "-", "Mon, 99 Foo 2026"):
        assert wanted_pause({"retry-after": junk}) is None
    assert wanted_pause({}) is None


def test_pauses_are_jittered_and_bounded_and_never_shorter_than_asked_for():
    rng = random.Random(0)
    for number in range(40):
        pauses = [pause_behind(number, 1.0, None, rng) for _ in range(50)]
        assert 0 <= min(pauses) <= max(pauses) <= min(LONGEST_PAUSE, 2.0**number)
        assert max(pauses) - min(pauses) > min(LONGEST_PAUSE, 2.0**number) / 2
        assert 7 <= pause_behind(number, 1.0, 7.0, rng) <= 7.8


@pytest.mark.parametrize("fault", ["429 after 0.4", "429 date"])
def test_while_a_server_wants_quiet_no_call_is_begun(tmp_path, fault):
    with serving(fault=lambda number, _: fault if number == 1 else None) as server:
        with calling(server, tmp_path, concurrency=1) as ask:
            assert [reply.finish for reply in ask(*map(call_of, range(3)))] == ["stop"] * 3
        gap = server.began[1] - server.began[0]
        assert gap >= (0.4 if fault.endswith("0.4") else 0.0)
        assert len(server.began) == 4


def test_who_waits_at_the_end_does_not_hold_it_up(tmp_path):
    """A keeper whose parent was killed holds claims, which the next run waits for."""

    async def ended_while_it_waits(fault):
        with serving(fault=lambda *_: fault) as server:
            manner = manner_of(server, tmp_path, retry_seconds=900.0, first_pause=600.0)
            caller = Caller(Server(server.url, "none", 5.0), Store(tmp_path), manner)
            asked = asyncio.create_task(caller.ask(call_of(1)))
            while not server.number:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            began = time.monotonic()
            caller.finish()
            with pytest.raises(GaveUp, match="ended by the user"):
                await asked
            return time.monotonic() - began

    assert asyncio.run(ended_while_it_waits("429 after 600")) < 30
    assert asyncio.run(ended_while_it_waits("503")) < 30


def test_a_storm_is_weathered_and_everybody_waits_for_its_end(tmp_path):
    until = time.monotonic() + 0.5
    with (
        serving(fault=lambda *_: "429 after 0.1" if time.monotonic() < until else None) as server,
        calling(server, tmp_path, concurrency=8) as ask,
    ):
        assert all(isinstance(one, Reply) for one in ask(*map(call_of, range(24))))
        assert server.ledger.totals()[::3] == (24, 1)
        assert server.number < 24 + 8 * 7, "each of eight asks about once in every tenth of a second"


def test_a_pause_that_is_longer_than_the_patience_ends_the_run_with_a_sentence(tmp_path):
    with serving(fault=lambda *_: "429 after 3600") as server, calling(server, tmp_path) as ask:
        (error,) = ask(call_of(1))
    assert isinstance(error, Stop)
    assert "it asks for a pause of 3600 s" in str(error)


def test_calls_are_begun_no_faster_than_the_rate_and_no_more_at_once_than_stated(tmp_path):
    began = time.monotonic()
    with serving() as server:
        with calling(server, tmp_path / "rate", calls_per_minute=1200.0, concurrency=8) as ask:
            ask(*map(call_of, range(6)))
        assert server.began[-1] - began > 6 * 0.05 - 0.001, "the list of models comes before the six"
    with serving(latency=0.15) as server, calling(server, tmp_path / "many", concurrency=3) as ask:
        ask(*map(call_of, range(7)))
        assert 1 < server.most_at_once <= 3


# A whole call


def test_a_fifth_of_the_calls_fail_and_every_answer_comes_and_is_paid_once(tmp_path):
    rng = random.Random(1)
    kinds = ("500", "503", "429", "page", "dropped", "no json", "error 200")
    with (
        serving(fault=lambda *_: rng.choice(kinds) if rng.random() < 0.2 else None) as server,
        calling(server, tmp_path, concurrency=8) as ask,
    ):
        calls = [call_of(number % 30) for number in range(90)]
        replies = ask(*calls)
        assert all(isinstance(one, Reply) for one in replies)
        calls_, read, written, most = server.ledger.totals()
        report = ask.store.costs(PAYER)
        assert (
            (report.calls, report.tokens_in, report.tokens_out)
            == (calls_, read, written)
            == (30, *server.ledger.totals()[1:3])
        )
        assert most == 1
        assert report.usd == pytest.approx((read + written) / 1e6)
        assert sum(report.failures.values()) == server.number - 30
        assert ask(*calls) == replies
        assert server.ledger.totals()[0] == 30


def test_what_cannot_be_answered_while_others_are_is_given_up_and_what_nobody_is_ends_the_run(tmp_path):
    bad = call_of(7).body
    with (
        serving(fault=lambda _, body: "500" if body == bad else None) as server,
        calling(server, tmp_path / "one", concurrency=2, retry_seconds=0.5) as ask,
    ):
        found = ask(*map(call_of, range(8)))
        assert isinstance(found[7], Stop | GaveUp)
        assert [type(one) for one in found[:7]] == [Reply] * 7
    with (
        serving(fault=lambda *_: "503") as server,
        calling(server, tmp_path / "all", retry_seconds=0.3) as ask,
    ):
        assert {type(one) for one in ask(*map(call_of, range(3)))} == {Stop}


def test_a_server_that_dies_and_comes_back_is_waited_for(tmp_path):
    server = ServerProcess(tmp_path / "log")
    try:
        with calling(server, tmp_path / "store", retry_seconds=30.0, first_pause=0.05) as ask:
            assert all(isinstance(one, Reply) for one in ask(*map(call_of, range(4))))
            server.end(9)
            back = threading.Timer(0.3, server.start)
            back.start()
            assert all(isinstance(one, Reply) for one in ask(*map(call_of, range(4, 9))))
            back.join()
            assert server.ledger().totals()[::3] == (9, 1)
            assert ask.store.costs(PAYER).failures["connection"] >= 1
    finally:
        server.end()


def test_usage_that_is_not_told_is_estimated_and_called_so(tmp_path):
    with serving(usage=False) as server, calling(server, tmp_path) as ask:
        ask(call_of(1), call_of(2))
        report = ask.store.costs(PAYER)
    assert (report.calls, report.estimated, report.tokens_in) == (2, 2, 40)
    assert report.tokens_out > 20


def test_an_answer_that_was_lost_on_the_way_counts_as_perhaps_charged(tmp_path):
    with (
        serving(fault=lambda number, _: "cut off" if number == 1 else None) as server,
        calling(server, tmp_path) as ask,
    ):
        assert isinstance(ask(call_of(1))[0], Reply)
        report = ask.store.costs(PAYER)
        assert (report.calls, report.maybe_charged) == (1, 1)
        assert report.calls + report.maybe_charged == server.ledger.totals()[0]
        assert report.maybe_charged_usd == pytest.approx(70 / 1e6)


# Budgets


def test_a_budget_is_used_to_its_end_and_never_exceeded(tmp_path):
    with serving(answer=lambda _: "x" * 40) as server:  # 14 tokens in, 10 out
        with calling(server, tmp_path, budget_tokens=300, concurrency=4) as ask:
            found = ask(*(call_of(number, tokens_in=14, tokens_out=20) for number in range(40)))
            assert {type(one) for one in found} == {Reply, NoRoom}
            spent = sum(server.ledger.totals()[1:3])
            assert 300 - 34 < spent <= 300
            assert ask.store.spent("a") == (spent, pytest.approx(spent / 1e6))
        with calling(server, tmp_path, budget_tokens=300) as ask:
            assert isinstance(ask(call_of(99))[0], NoRoom), "a budget is for all runs"
            assert isinstance(ask(call_of(0))[0], Reply), "what is in the store costs nothing"
        with calling(server, tmp_path, budget_usd=0.0004) as ask:
            found = ask(*(call_of(number, tokens_in=14, tokens_out=20) for number in range(100, 140)))
            assert NoRoom in map(type, found)
            assert (400 - 34) / 1e6 < ask.store.spent("a")[1] <= 400 / 1e6


def test_pictures_that_are_dearer_than_was_thought_are_learned_of(tmp_path):
    with (
        serving(answer=lambda _: "") as server,
        calling(server, tmp_path, budget_tokens=100, concurrency=1) as ask,
    ):
        ask(*(call_of(number, tokens_in=2, tokens_out=1) for number in range(40)))  # 14 tokens each
        assert sum(server.ledger.totals()[1:3]) <= 100


# Several processes, and those that die

_ASK = """
import sys; sys.path[:0] = [{tests!r}]
from types import SimpleNamespace
from vlm_makers import call_of, calling
with calling(SimpleNamespace(url={url!r}), {cache!r}, account=sys.argv[1], concurrency=8) as ask:
    print([type(one).__name__ for one in ask(*map(call_of, range(20)))].count("Reply"))
"""


def test_processes_that_ask_the_same_at_once_pay_once_among_them(tmp_path):
    with serving(latency=0.02) as server:
        code = _ASK.format(tests=str(TESTS), url=server.url, cache=str(tmp_path))
        asking = [
            subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True, encoding="utf-8")
            for name in ("a", "b")
        ]
        assert [process.communicate()[0].strip() for process in asking] == ["20", "20"]
        assert server.ledger.totals()[::3] == (20, 1)
    store = Store(tmp_path)
    reports = [store.costs(Payer(account=name, role="reasoner")) for name in ("a", "b")]
    assert sum(report.calls for report in reports) == 20


def test_a_call_over_which_its_maker_died_is_found_and_counts_as_perhaps_charged(tmp_path):
    store, budget = Store(tmp_path), Budget(tokens=100)
    assert store.reserve("k" * 64, PAYER, 70, 0.5, budget)
    assert store.costs(PAYER).maybe_charged == 1
    assert not store.reserve("l" * 64, PAYER, 70, 0.5, budget), "it may have been charged"
    store.close()
    with serving() as server, calling(server, tmp_path, concurrency=1) as ask:
        assert isinstance(ask(call_of(1, key="k" * 64))[0], Reply)
        report = ask.store.costs(PAYER)
    assert (report.calls, report.maybe_charged, report.maybe_charged_usd) == (1, 1, 0.5)


def test_a_store_that_is_none_is_refused_by_name(tmp_path):
    (tmp_path / "answers.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(RigError, match=r"answers.sqlite cannot be used as the store of answers .*name another folder"):
        Store(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RigError, match="cannot be used as the store"):
        Store(tmp_path / "file")
    newer = Store(tmp_path / "newer")
    newer._db.execute("PRAGMA user_version = 9")
    newer.close()
    with pytest.raises(RigError, match="was written by a newer version"):
        Store(tmp_path / "newer")


def test_a_port_where_nobody_listens_ends_with_a_sentence(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    gone = type("Gone", (), {"url": f"http://127.0.0.1:{port}/v1"})
    with calling(gone, tmp_path, retry_seconds=0.2) as ask:
        (error,) = ask(call_of(1))
    assert isinstance(error, Stop)
    assert f"the connection to http://127.0.0.1:{port}/v1 failed" in str(error)
    assert "retry_seconds=0.2" in str(error)
    assert manner_of(gone, tmp_path).account == "a"
