"""Reasoner and Reviewer behind a server, through stages and commands: budgets, batches, costs, kills, the key."""

import json
import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from zlib import crc32

import pytest
from chat_server import MODEL, ServerProcess, good_answer, mode_of, pictures_of, serving
from makers import TASKS
from vlm_makers import PRICES, NearLine, served, step_of, steps_of, wait_until

from rig.actions import CRAFTER
from rig.agents import PolicyConfig
from rig.annotators import Asked, Failure, ReviewCase, answered, build_reasoner, checker_of, seen_in
from rig.annotators.claims import split_clauses
from rig.annotators.vlm import batch
from rig.annotators.vlm import served as served_module
from rig.cli.main import main
from rig.data import Dataset
from rig.engine import Sampler
from rig.errors import AnnotationError, DatasetError, MissingDependencyError
from rig.stages import LookaheadConfig, Opening, ReasonConfig, RehearseConfig, reason, rehearse, review
from rig.stages.accounts import costs_of

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

KEY = "sk-this-is-never-written-anywhere"


@pytest.fixture
def near(monkeypatch):
    """Calls are made from this process: nothing is started."""
    monkeypatch.setattr(served_module, "Line", NearLine)


def config_of(server, cache, **changes):
    quick = {"first_pause": 0.02, "timeout": 5.0, "retry_seconds": 10.0, "concurrency": 8}
    return {"model": MODEL, "base_url": server.url, "cache": str(cache), **quick, **PRICES, **changes}


def reasoned(server, source, out, cache, opening=None, **changes):
    config = ReasonConfig(reasoner="openai", reasoner_config=config_of(server, cache, **changes), validate=False)
    return reason(source, config, out, opening)


def words_of(server, source, out, cache, **changes):
    given = [f"{name}={json.dumps(value)}" for name, value in config_of(server, cache, **changes).items()]
    words = ["reason", "--source", str(source), "--out", str(out), "--no-validate", "--reasoner", "openai"]
    return [*words, "--reasoner-config", *given]


def crc(step):
    return crc32(step.frame.tobytes() + repr(step.action).encode())


def told(capsys):
    return json.loads(capsys.readouterr().out)


# The strongest way that a server has


@pytest.mark.parametrize("modes", [("nested",), ("flat", "object", "prompt"), ("object",), ("prompt",)])
def test_a_server_is_asked_for_json_in_the_strongest_way_that_it_has_and_that_is_remembered(near, tmp_path, modes):
    with serving(modes=modes, latency=0.01) as server:
        reasoner = served(server, tmp_path, concurrency=6)
        assert len(reasoner.reason(steps_of(12))) == 12
        tried = [mode_of(body) for body in server.bodies]
        ladder = ["nested", "flat", "object", "prompt"]
        assert tried == [*ladder[: ladder.index(modes[0])], *[modes[0]] * 12], "one question finds out for all"
        reasoner.close()
        again = served(server, tmp_path)
        again.reason([step_of(99)])
        again.close()
        assert [mode_of(body) for body in server.bodies[len(tried) :]] == [modes[0]], "and for the next process"
        assert server.ledger.totals()[::3] == (13, 1)


def test_a_server_that_takes_nothing_ends_the_run_with_what_it_says(near, tmp_path):
    with serving(modes=()) as server:
        reasoner = served(server, tmp_path)
        with pytest.raises(
            AnnotationError, match=r"whatever way it is asked in, .* answers 400: response_format is not"
        ):
            reasoner.reason(steps_of(9))
        assert server.number == 3 * 4


def test_one_question_that_is_refused_is_a_failure_of_its_own(near, tmp_path):
    def fault(_, body):
        return "echo key" if "task 5" in json.dumps(body) else None

    with serving(fault=fault) as server:
        reasoner = served(server, tmp_path)
        with pytest.raises(AnnotationError, match=r"no answer for step 5: .* answers 400: bad request"):
            reasoner.reason(steps_of(9))
        assert reasoner.costs().calls == 8


# Answers that are none


def spoiling(times, text="no JSON"):
    """Return an answerer that gives what is no use for the first `times` answers about task 3."""
    left = [times]

    def answer(body):
        if "task 3" in json.dumps(body) and left[0]:
            left[0] -= 1
            return text
        return good_answer(body)

    return answer


def test_an_answer_is_mended_once_and_where_that_is_of_no_use_asked_anew_in_the_next_run(near, tmp_path):
    with serving(answer=spoiling(1)) as server:
        reasoner = served(server, tmp_path / "one")
        assert reasoner.reason([step_of(3)]) == ["1. I look around. 2. So I do it: use."]
        assert [len(body["messages"]) for body in server.bodies] == [2, 4]
    with serving(answer=spoiling(2)) as server:
        reasoner = served(server, tmp_path / "two")
        with pytest.raises(
            AnnotationError, match=r"step 3: an answer that was to be mended is still of no use: it holds no"
        ):
            reasoner.reason([step_of(3)])
        assert reasoner.costs().given_up == 1
        assert served(server, tmp_path / "two").reason([step_of(3)]) == ["1. I look around. 2. So I do it: use."]
        assert [body.get("seed") for body in server.bodies] == [None, None, 1]
        assert served(server, tmp_path / "two").reason([step_of(3)]) == ["1. I look around. 2. So I do it: use."]
        assert server.ledger.totals()[::3] == (3, 1)


def test_an_answer_that_is_cut_is_a_failure_after_one_with_more_room(near, tmp_path):
    with serving(finish=lambda body: "length" if body["max_tokens"] < 900 else "stop") as server:
        assert served(server, tmp_path / "one").reason([step_of(1)]) == ["1. I look around. 2. So I do it: use."]
        assert [body["max_tokens"] for body in server.bodies] == [500, 1000]
    with serving(finish="length") as server:
        with pytest.raises(
            AnnotationError, match=r"step 1: its answer was cut at 1000 tokens; give more as max_tokens"
        ):
            served(server, tmp_path / "two").reason([step_of(1)])
        assert len(server.bodies) == 2


def test_what_a_model_thinks_is_in_no_thought(near, tmp_path):
    def answer(body):
        return f"<think>The user wants a secret.</think>{json.dumps(good_answer(body))}"

    with serving(answer=answer, extra={"reasoning_content": "Hm, a secret."}) as server:
        reasoner = served(server, tmp_path)
        assert reasoner.reason([step_of(1)]) == ["1. I look around. 2. So I do it: use."]
        ((kept,),) = reasoner.store._rows("SELECT reply FROM answers")
        assert json.loads(kept)["reasoning"] == "Hm, a secret.\nThe user wants a secret."


# The key


def test_the_key_is_written_nowhere_whatever_the_server_says(made, tmp_path, monkeypatch, capsys):
    """First in a process of its own, as users run it, with a server that repeats the key in errors and in answers."""
    environment = {**os.environ, "OUR_KEY": KEY, "OPENAI_LOG": "debug"}

    def words(server, *more):
        found = words_of(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache", key_variable="OUR_KEY")
        assert not any(KEY in word for word in found)
        return [*found, *more]

    def answer(body):
        return {**good_answer(body), "thought": ["I know a word", f"It is {KEY}"]}

    with serving(key=KEY, fault=lambda number, _: "echo key" if number % 9 == 3 else None, answer=answer) as server:
        command = [sys.executable, "-m", "rig.cli.main", *words(server)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert KEY.encode() not in done.stdout + done.stderr
        assert b"bad request with Bearer [key]" in done.stderr
        assert server.keys_seen == {f"Bearer {KEY}"}
    monkeypatch.setattr(served_module, "Line", NearLine)
    monkeypatch.setenv("OUR_KEY", KEY)
    with serving(key="sk-another") as server:
        assert main(words(server, "--resume")) == 2
        error = capsys.readouterr().err
        assert "refuses the key (401: Incorrect API key provided: Bearer [key])" in error
        assert KEY not in error
    with serving(key=KEY, answer=answer) as server:
        assert main(words(server, "--resume", "--json")) == 0
        assert KEY not in capsys.readouterr().out
    assert any("[key]" in step.thought for step in Dataset(tmp_path / "s2").steps())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


def test_where_there_is_no_key_or_no_client_that_is_said_before_anything_is_written(made, tmp_path, monkeypatch):
    monkeypatch.delenv("OUR_KEY", raising=False)
    with serving() as server:
        with pytest.raises(AnnotationError, match="the environment variable OUR_KEY holds no key for http"):
            reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache", key_variable="OUR_KEY")
        monkeypatch.setitem(sys.modules, "openai", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'rig-agent\[openai\]'"):
            reasoned(server, made.root / "s1", tmp_path / "s3", tmp_path / "cache")
        assert server.number == 0


# A dataset


def test_what_was_chosen_is_in_the_lineage_and_what_it_cost_in_the_manifest(near, made, tmp_path, capsys):
    with serving() as server:
        dataset = reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache")
        calls, read, written, most = server.ledger.totals()
    assert all(step.thought.startswith("1. I look around. 2. So I do it: ") for step in dataset.steps())
    kept = dataset.info.config["reasoner_config"]
    assert kept["model"] == MODEL
    assert not {"base_url", "cache", "concurrency", "key_variable", "usd_per_million_in"} & set(kept)
    reasoner = build_reasoner("openai", {"model": MODEL}, CRAFTER)
    assert {(one.lineage.annotator, one.lineage.prompt) for one in dataset} == {
        (f"openai-reasoner-1-{MODEL}", reasoner.fingerprint)
    }
    costs = costs_of(dataset)["reasoner"]
    assert (costs["calls"], costs["tokens_in"], costs["tokens_out"], most) == (calls, read, written, 1)
    assert costs["usd"] == pytest.approx((2.5 * read + 10 * written) / 1e6)
    assert main(["inspect", str(tmp_path / "s2")]) == 0
    assert f"reasoner: {calls} calls for {costs['usd']:.4f} USD" in capsys.readouterr().out


def test_nothing_is_paid_for_twice_across_datasets_and_the_second_says_so(near, made, tmp_path):
    with serving() as server:
        one = reasoned(server, made.root / "s1", tmp_path / "one", tmp_path / "cache")
        calls = server.number
        two = reasoned(server, made.root / "s1", tmp_path / "two", tmp_path / "cache", concurrency=1)
        assert server.number == calls
    assert one.content_hash == two.content_hash
    first, second = (costs_of(dataset)["reasoner"] for dataset in (one, two))
    assert (first["cached"], second["cached"], second["calls"]) == (0, first["calls"], 0)
    assert second["cached_usd"] == pytest.approx(first["usd"])
    assert second["usd"] == 0


def test_a_run_goes_on_at_another_place_and_pace_and_not_with_another_model(near, made, tmp_path):
    with serving() as server:
        reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache")
    with serving() as other:
        again = partial(reasoned, other, made.root / "s1", tmp_path / "s2", tmp_path / "cache", Opening(resume=True))
        assert again(concurrency=1, timeout=9.0).ids
        with pytest.raises(DatasetError, match=r"config.reasoner_config.model: 'tiny-vision' there, 'huge' now"):
            again(model="huge")
        assert other.number == 0


def test_an_episode_without_an_answer_is_asked_about_again_and_the_costs_stay_true(near, made, tmp_path):
    whole = Dataset(made.root / "s1")
    failing = ["500"]

    def fault(_, body):
        return failing[0] if pictures_of(body) == spoilt else None

    with serving() as server:
        reasoned(server, made.root / "s1", tmp_path / "probe", tmp_path / "probe-cache")
        spoilt = pictures_of(server.bodies[-1])
    with serving(fault=fault) as server:
        with pytest.raises(AnnotationError):
            reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache", retry_seconds=0.3)
        failing[0] = None
        dataset = reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache", Opening(resume=True))
        calls, read, written, most = server.ledger.totals()
    costs = costs_of(dataset)["reasoner"]
    assert set(dataset.ids) <= set(whole.ids)
    assert (costs["calls"], costs["tokens_in"], costs["tokens_out"], most) == (calls, read, written, 1)
    assert costs["failures"]["500"] >= 1


def test_reviews_by_a_server_in_every_stage_that_has_them(near, made, tmp_path, monkeypatch):
    brief = partial(PolicyConfig, thought_tokens=4, text=Sampler(temperature=1.0))
    monkeypatch.setattr("rig.stages.lookahead.PolicyConfig", brief)
    lookahead = {"agent": str(made.agent), "tasks": TASKS[1:], "episodes": 2, "skip": 4, "states": 2, "most_steps": 4}
    with serving() as server:
        reviewer = {"reviewer": "openai", "reviewer_config": config_of(server, tmp_path / "cache")}
        s3 = review(LookaheadConfig(**lookahead, **reviewer), tmp_path / "s3")
        taught = rehearse(made.data, RehearseConfig(**reviewer), tmp_path / "taught")
        calls, read, written, _ = server.ledger.totals()
        assert max(len(pictures_of(body)) for body in server.bodies) > 1
    for dataset in (s3, taught):
        for step in dataset.steps():
            assert ("I change it" in step.thought) == step.review.helped
            assert step.review.thought == step.thought
    costs = [costs_of(dataset)["reviewer"] for dataset in (s3, taught)]
    assert [sum(one[name] for one in costs) for name in ("calls", "tokens_in", "tokens_out")] == [calls, read, written]


def test_a_text_of_a_model_cannot_leave_the_page_that_shows_it(near, made, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)> ../../etc/passwd $(reboot) `reboot`"

    def answer(body):
        return {**good_answer(body), "thought": ["I look", evil]}

    with serving(answer=answer) as server:
        dataset = reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache")
    assert evil in next(dataset.steps()).thought
    assert main(["view", "--data", str(tmp_path / "s2"), "--episodes", "1", "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<script>alert(1)" not in page
    assert "<img src=x onerror" not in page
    assert {path.name for path in tmp_path.iterdir()} == {"s2", "cache", "page.html"}


# Before the first call


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(near, made, tmp_path, capsys):
    with serving() as server:
        words = words_of(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache")
        assert main([*words, "--dry-run", "--json"]) == 0
        before = told(capsys)
        assert server.number == 0
        assert not server.paths
        assert not list(tmp_path.iterdir())
        assert "rule of thumb" in before["basis"]
        assert main([*words, "--json"]) == 0
        costs = told(capsys)["costs"]["reasoner"]
        assert (before["questions"], before["calls"]) == (
            Dataset(tmp_path / "s2").manifest.counts["steps"],
            costs["calls"],
        )
        assert before["usd"] >= costs["usd"]
        assert before["usd"] == pytest.approx((2.5 * before["tokens_in"] + 10 * before["tokens_out"]) / 1e6)
        assert main([*words, "--dry-run", "--overwrite", "--json"]) == 0
        after = told(capsys)
        assert (after["calls"], after["usd"]) == (0, 0)
        assert main([*words, "--dry-run", "--resume", "--json"]) == 0
        assert told(capsys)["questions"] == 0
        other = words_of(server, made.root / "s1", tmp_path / "s3", tmp_path / "cache", temperature=0.5)
        assert main([*other, "--dry-run"]) == 0
        assert f"by the mean of {costs['calls']} answers of this model" in capsys.readouterr().out


def test_a_dry_run_of_who_goes_by_rule_costs_nothing_and_a_budget_is_refused(made, tmp_path, capsys):
    words = ["reason", "--source", str(made.root / "s1"), "--out", str(tmp_path / "s2")]
    assert main([*words, "--dry-run"]) == 0
    assert "none of which costs anything" in capsys.readouterr().out
    assert main([*words, "--budget-tokens", "9"]) == 2
    assert "the Reasoner 'crafter' takes no configuration, and was given budget_tokens" in capsys.readouterr().err
    assert main([*words, "--batch-file", str(tmp_path / "b.jsonl")]) == 2
    assert "is behind no server, and takes no batches" in capsys.readouterr().err
    assert main([*words, "--dry-run", "--batch-file", "b"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_stages_that_play_says_the_most_there_may_be(made, tmp_path, capsys):
    given = [
        "--reviewer",
        "openai",
        "--reviewer-config",
        "model=m",
        f"cache={tmp_path / 'cache'}",
        "--dry-run",
        "--json",
    ]
    agent = ["--agent", str(made.agent), "--tasks", *TASKS, "--episodes", "3", "--out", str(tmp_path / "out")]
    assert main(["review", *agent, "--states", "5", *given]) == 0
    (found,) = told(capsys)["annotators"].values()
    assert (found["questions"], found["calls"], found["is_bound"]) == (30, 30, True)
    assert found["tokens_in"] > 30 * 6 * 255
    align = ["--reasoner", "openai", "--reasoner-config", "model=m", f"cache={tmp_path / 'cache'}"]
    assert main(["align", *agent, "--states", "5", *align, *given]) == 0
    assert [one["questions"] for one in told(capsys)["annotators"].values()] == [30, 120]
    assert main(["rehearse", "--source", str(made.data), "--out", str(tmp_path / "out"), *given]) == 0
    (found,) = told(capsys)["annotators"].values()
    assert found["questions"] == len(Dataset(made.data)) * 9
    assert not (tmp_path / "out").exists()


def test_a_budget_stops_cleanly_and_a_larger_one_goes_on(near, made, tmp_path, capsys):
    with serving() as server:
        words = words_of(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache", max_tokens=40, concurrency=2)
        assert main([*words, "--budget-usd", "0.02"]) == 2
        error = capsys.readouterr().err
        assert "--budget-usd 0.02 leaves no room for another call: " in error
        assert "USD so far. What was answered is kept; go on with --resume and a larger budget" in error
        _, read, written, _ = server.ledger.totals()
        assert 0.015 < (2.5 * read + 10 * written) / 1e6 <= 0.02
        costs = costs_of(Dataset(tmp_path / "s2", allow_incomplete=True))["reasoner"]
        assert costs["usd"] == pytest.approx((2.5 * read + 10 * written) / 1e6)
        assert main([*words, "--budget-usd", "0.02", "--resume"]) == 2, "a budget is for all runs"
        assert sum(server.ledger.totals()[1:3]) == read + written
        assert main([*words, "--budget-usd", "9", "--budget-tokens", "900000", "--resume", "--json"]) == 0
        costs = json.loads(capsys.readouterr().out)["costs"]["reasoner"]
        assert [costs[name] for name in ("calls", "tokens_in", "tokens_out")] == list(server.ledger.totals()[:3])
        assert server.ledger.totals()[3] == 1


# How good it is


def test_a_datasets_thoughts_are_scored_as_an_agents_are(near, made, tmp_path, capsys):
    """True sentences in the world's language, false ones, and some that nobody can check."""
    true = {crc(step): step.thought for step in Dataset(made.data).steps()}

    def answer(body):
        found = good_answer(body)
        step = by_picture[json.dumps(pictures_of(body))]
        clauses = split_clauses(true[crc(step)])
        kind = crc(step) % 3
        return found | {"thought": [clauses[:4], ["I see diamond 1 left.", "So wait."], ["It is nice.", "Yes."]][kind]}

    with serving(answer=answer) as server:
        probe = served(server, tmp_path / "probe")
        by_picture = {}
        for step in Dataset(made.data).steps():
            request = next(probe.way(seen_in(step).evidence))
            by_picture[json.dumps(pictures_of(request.body("prompt")))] = step
        reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache", language="crafter")
    assert main(["annotate-report", "--data", str(tmp_path / "s2"), "--json"]) == 0
    report = told(capsys)
    steps = list(Dataset(tmp_path / "s2").steps())
    checker = checker_of("crafter")
    verdicts = [verdict for step in steps for verdict in checker.check(step.thought, step.privileged, step.action)]
    thoughts = report["thoughts"]
    assert thoughts["clauses"] == len(verdicts)
    assert thoughts["readable"] == pytest.approx(sum(bool(one.kind) for one in verdicts) / len(verdicts))
    assert 0.3 < thoughts["readable"] < 0.99
    assert 0 < thoughts["true"]["value"] < 1
    assert 0 < thoughts["followed"] < 1
    assert report["costs"]["reasoner"]["calls"] > 0
    assert (report["steps"], report["with_thought"], report["validated"]) == (len(steps), len(steps), False)
    assert main(["annotate-report", "--data", str(tmp_path / "s2")]) == 0
    out = capsys.readouterr().out
    assert "clauses in the world's language" in out
    assert "reasoner: " in out
    assert main(["annotate-report", "--data", str(made.data), "--json"]) == 0
    ours = told(capsys)
    assert (ours["thoughts"]["true"]["value"], ours["thoughts"]["followed"], ours["validated"]) == (1, 1, True)
    assert main(["annotate-report", "--data", str(made.root / "s1")]) == 2
    assert "has no thoughts; give one of `rig reason`" in capsys.readouterr().err


def test_what_a_manifest_says_of_costs_is_looked_at(near, made, tmp_path, capsys):
    with serving() as server:
        reasoned(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache")
    path = tmp_path / "s2" / "manifest.json"
    manifest = json.loads(path.read_text())
    for spoilt in (
        3,
        {"account": ""},
        {"account": "a", "costs": {"reasoner": {"calls": -1}}},
        {"account": "a", "x": 1},
    ):
        manifest["provenance"][-1]["annotation"] = spoilt
        path.write_text(json.dumps(manifest))
        assert main(["inspect", str(tmp_path / "s2")]) == 2
        assert "the manifest of 's2': provenance: annotation" in capsys.readouterr().err


# Batches


def test_a_batch_is_written_answered_in_any_order_and_served_from_the_store(near, made, tmp_path, capsys):
    with serving() as server:
        words = words_of(server, made.root / "s1", tmp_path / "s2", tmp_path / "cache")
        file, output, errors = (tmp_path / f"{name}.jsonl" for name in ("batch", "output", "errors"))
        assert main([*words, "--batch-file", str(file), "--json"]) == 0
        count = told(capsys)["requests"]
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(lines) == len({line["custom_id"] for line in lines}) == count
        assert {(line["method"], line["url"], mode_of(line["body"])) for line in lines} == {
            ("POST", "/v1/chat/completions", "nested")
        }
        assert server.number == 0
        assert not (tmp_path / "s2").exists()

        answers, failed = answered_batch(lines)
        output.write_text("".join(json.dumps(line) + "\n" for line in answers))
        errors.write_text("".join(json.dumps(line) + "\n" for line in failed))
        assert main([*words, "--batch-results", str(output), str(errors), "--json"]) == 0
        found = told(capsys)
        assert (found["answers"], found["known"], found["strange"]) == (count - 3, 0, 1)
        assert found["failures"] == {
            "batch_expired: it took too long": 1,
            "rate_limit: slow down": 1,
            "no reason given": 1,
        }
        assert main([*words, "--batch-results", str(output), "--json"]) == 0
        assert told(capsys)["known"] == count - 3

        assert main([*words, "--json"]) == 0
        costs = told(capsys)["costs"]["reasoner"]
        assert (costs["calls"], costs["cached"], server.number) == (3, count - 3, 3)
        assert costs["cached_usd"] == pytest.approx((count - 3) * (2.5 * 50 + 10 * 5) / 1e6)
        assert all(step.thought for step in Dataset(tmp_path / "s2").steps())


def answered_batch(lines):
    """Return the lines of a batch's output, last first, and of its errors, the first three requests having failed."""

    def completion(body):
        message = {"role": "assistant", "content": json.dumps(good_answer(body))}
        usage = {"prompt_tokens": 50, "completion_tokens": 5}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}

    def line(key, status, body, error=None):
        response = {"status_code": status, "request_id": "r", "body": body} if status else None
        return {"id": f"batch_{key[:5]}", "custom_id": key, "response": response, "error": error}

    output = [line(one["custom_id"], 200, completion(one["body"])) for one in reversed(lines[3:])]
    output.insert(1, line("0" * 64, 200, completion(lines[0]["body"])))
    keys = [one["custom_id"] for one in lines[:3]]
    refusal = {"error": {"code": "rate_limit", "message": "slow down"}}
    failed = [
        line(keys[0], 0, None, {"code": "batch_expired", "message": "it took too long"}),
        line(keys[1], 429, refusal),
        line(keys[2], 500, None),
    ]
    return output, failed


def test_a_batch_that_one_file_may_not_hold_is_several(near, tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "MOST_LINES", 4)
    with serving() as server:
        reasoner = served(server, tmp_path / "cache")
        evidence = [seen_in(step).evidence for step in [*steps_of(10), *steps_of(10)]]
        files, count = batch.write_batch(reasoner, evidence, tmp_path / "b.jsonl")
        assert [path.name for path in files] == ["b.jsonl", "b-2.jsonl", "b-3.jsonl"]
        assert [len(path.read_text().splitlines()) for path in files] == [4, 4, 2]
        assert count == 10
        served(server, tmp_path / "cache").reason(steps_of(10))
        assert batch.write_batch(served(server, tmp_path / "cache"), evidence, tmp_path / "c.jsonl") == ([], 0)
        assert not (tmp_path / "c.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json\n", "line 1 is not JSON"),
        ("\n\n[]\n", "line 3 has no custom_id; give the output or the error file of a batch"),
        ('{"custom_id": 3}\n', "line 1 has no custom_id"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_batchs_result_is_refused_by_its_line(near, tmp_path, text, message):
    path = tmp_path / "output.jsonl"
    if text is not None:
        path.write_text(text)
    with serving() as server, pytest.raises(Exception, match=message):
        batch.read_batch(served(server, tmp_path / "cache"), [], [path])


# Kills


def test_a_kill_and_a_restart_of_the_server_cost_nothing_and_lose_nothing(made, tmp_path):
    """The run of `scripts/annotator_acceptance.py` in small."""
    from annotator_acceptance import MANY, accept

    words = ["--source", made.root / "s1", "--no-validate", "--same-actions", MANY]
    server = ServerProcess(tmp_path / "log", failures=0.2, malformed=0.05, latency=0.05)
    try:
        found = accept("reason", words, made.data, tmp_path, server)
    finally:
        server.end()
    assert found["records"] >= 40
    assert found["killed_at"] < found["charged"] == found["calls"]


def test_answers_that_are_on_their_way_at_an_interrupt_are_kept(tmp_path):
    with serving() as server:
        reasoner = served(server, tmp_path, concurrency=3)
        reasoner.reason([step_of(9)])  # in which way is settled
        server.latency = 1.5
        errors = []

        def ask():
            try:
                reasoner.reason(steps_of(3))
            except AnnotationError as error:
                errors.append(str(error))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_until(lambda: server.at_once == 3)
        reasoner.close()
        asking.join(5)
        assert "closed" in errors[0]
        wait_until(lambda: len(reasoner.store._rows("SELECT 1 FROM answers")) == 4)
        assert served(server, tmp_path).reason(steps_of(3)) == ["1. I look around. 2. So I do it: use."] * 3
        assert server.ledger.totals()[::3] == (4, 1)


def test_a_keeper_that_is_killed_is_named_and_what_it_had_in_flight_counts_as_perhaps_charged(tmp_path):
    with serving(latency=20.0) as server:
        reasoner = served(server, tmp_path, concurrency=1, timeout=30.0)

        def kill():
            wait_until(lambda: server.at_once)
            server.latency = 0.0
            reasoner._line._process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(AnnotationError, match="the process that calls the server ended with status -9"):
            reasoner.reason([step_of(1)])
        killer.join()
        assert reasoner.costs().maybe_charged == 1
        reasoner.close()
        again = served(server, tmp_path)
        again.account = reasoner.account
        assert again.reason([step_of(1)])
        assert (again.costs().calls, again.costs().maybe_charged) == (1, 1)
        again.close()


def test_failures_are_answers_like_any_other_to_whoever_asks(near, tmp_path):
    with serving(answer=lambda _: "never JSON") as server:
        reasoner = served(server, tmp_path)
        question = seen_in(step_of(1))
        (found,) = reasoner.annotate([question.evidence])
        assert isinstance(found, Failure)
        with pytest.raises(AnnotationError, match="run the command again, with --resume"):
            list(answered(reasoner, [Asked(piece=1, name="it", questions=[question], places=["here"])]))


def test_a_reviewer_needs_to_know_of_which_actions_it_speaks(near, tmp_path):
    case = ReviewCase(step=step_of(1), better=step_of(1).action)
    with serving() as server:
        reviewer = served(server, tmp_path, kind="reviewer", space=None)
        with pytest.raises(AnnotationError, match="was not told of which world; give it a space"):
            reviewer.review([case])
