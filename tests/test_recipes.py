"""Recipes: jobs run in the order of their needs, each once, however a plan is cut; a ladder compares like with like."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from report_makers import keep_scores, table_rows

from rig.cli import main as cli
from rig.cli.main import main, read_verb
from rig.cli.playing import Eval, Imagine
from rig.cli.tables import imagination_text
from rig.cli.training import Train
from rig.data import Dataset
from rig.errors import RigError, UnknownNameError
from rig.evaluate.saved import read_rows
from rig.machine import usable_cores
from rig.provenance import provenance
from rig.recipes import jobs as jobs_module
from rig.recipes.jobs import TIMES, Job, core_hours, in_order, needed, read_times, run_plan
from rig.recipes.ladder import ROWS, Ladder
from rig.recipes.presets import LADDERS
from rig.recipes.report import write_report
from rig.recipes.results import Results
from rig.stages import s1_collect
from rig.storage import write_json

CORES = usable_cores()


def job(name, *needs, **rest):
    return Job(name=name, arguments=("view",), result=Path(name), needs=needs, **rest)


# Order.


def test_jobs_come_after_what_they_need_whatever_order_they_are_given_in():
    jobs = [job("a"), job("b", "a"), job("c", "a", "b"), job("d"), job("e", "c", "d")]
    for seed in range(10):
        shuffled = random.Random(seed).sample(jobs, len(jobs))
        names = [entry.name for entry in in_order(shuffled)]
        assert sorted(names) == list("abcde")
        assert all(names.index(need) < names.index(entry.name) for entry in jobs for need in entry.needs)


def test_circles_and_unknown_needs_are_named(tmp_path):
    with pytest.raises(RigError, match=r"cannot be ordered: \['a', 'b'\]; unknown needs: \[\]"):
        in_order([job("a", "b"), job("b", "a"), job("c")])
    with pytest.raises(RigError, match=r"unknown needs: \['z'\]"):
        in_order([job("a", "z"), job("c")])
    with pytest.raises(RigError, match="cannot be ordered"):
        run_plan([job("a", "a")], tmp_path / "logs")


def test_needed_keeps_what_a_job_needs_and_no_more():
    jobs = [job("a"), job("b", "a"), job("c", "b"), job("d", "a"), job("e")]
    assert [entry.name for entry in needed(jobs, ["c"])] == ["a", "b", "c"]
    assert [entry.name for entry in needed(jobs, ["d", "b"])] == ["a", "b", "d"]
    with pytest.raises(UnknownNameError, match="unknown job 'f'"):
        needed(jobs, ["f"])


# Real commands, inside this process.


def plan_of(root):
    """Collect, annotate, show: three commands, each in need of the one before."""
    tasks = ("--episodes", "3", "--tasks", "place_table/tool")
    return [
        Job(
            name="page",
            arguments=("view", "--data", str(root / "s2"), "--out", str(root / "page.html")),
            result=root / "page.html",
            needs=("s2",),
        ),
        Job(
            name="s2",
            arguments=("reason", "--source", str(root / "s1"), "--out", str(root / "s2"), "--resume"),
            result=root / "s2" / "manifest.json",
            needs=("s1",),
        ),
        Job(
            name="s1",
            arguments=("collect", "--out", str(root / "s1"), "--resume", *tasks),
            result=root / "s1" / "manifest.json",
        ),
    ]


def test_a_plan_that_was_cut_goes_on_and_does_nothing_twice(tmp_path, monkeypatch):
    verbs, taught, original, teach = [], [], read_verb, s1_collect.teach

    def note_verb(name, given):
        verbs.append(name)
        return original(name, given)

    def note_episode(world, teacher, episode, config):
        if len(taught) == 2 and not verbs.count("collect") == 2:
            raise KeyboardInterrupt
        taught.append(episode.seed)
        return teach(world, teacher, episode, config)

    monkeypatch.setattr(cli, "read_verb", note_verb)
    monkeypatch.setattr(s1_collect, "teach", note_episode)
    jobs = plan_of(tmp_path)
    with pytest.raises(RigError, match="the job s1 failed: rig collect --out"):
        run_plan(jobs, tmp_path / "logs", workers=0, here=main)
    assert verbs == ["collect"]
    assert (tmp_path / "s1" / "manifest.json").is_file()
    assert not jobs[2].is_done, "an unfinished dataset is no result"
    run_plan(jobs, tmp_path / "logs", workers=0, here=main)
    assert verbs == ["collect", "collect", "reason", "view"]
    assert len(taught) == len(set(taught)) == 3
    assert all(entry.is_done for entry in jobs)
    (tmp_path / "page.html").unlink()
    run_plan(jobs, tmp_path / "logs", workers=0, here=main)
    assert verbs[4:] == ["view"]
    run_plan(jobs, tmp_path / "logs", workers=0, here=main)
    assert len(verbs) == 5
    assert {name: hours > 0 for name, hours in core_hours(tmp_path / "logs").items()} == dict.fromkeys(
        ("page", "s2", "s1"), True
    )


def test_an_evaluation_of_fewer_episodes_than_are_wanted_now_is_gone_on_with(tmp_path):
    def of(episodes):
        words = ("eval", "--agent", "teacher:random", "--out", str(tmp_path / "row"), "--most-steps", "2", "--resume")
        words += ("--tasks", "collect_wood/manual", "--episodes", str(episodes))
        return Job(name="row", arguments=words, result=tmp_path / "row" / "summary.json", episodes=episodes)

    played = []
    for episodes in (1, 3, 2):
        job = of(episodes)
        run_plan([job], tmp_path / "logs", workers=0, here=main)
        assert job.is_as_wanted
        played.append(len(read_rows(tmp_path / "row")))
    assert played == [1, 3, 3]
    assert of(4).is_done
    assert not of(4).is_as_wanted
    (tmp_path / "row" / "summary.json").write_text("{}")
    with pytest.raises(RigError, match=r"summary\.json"):
        run_plan([of(3)], tmp_path / "logs", workers=0, here=main)


def test_two_plans_do_not_run_with_the_same_logs(tmp_path):
    jobs, refused = plan_of(tmp_path), []

    def meanwhile(words):
        if not refused:
            with pytest.raises(RigError, match="logs is being written by another process") as told:
                run_plan(jobs, tmp_path / "logs", workers=0, here=main)
            refused.append(told)
        return main(words)

    run_plan(jobs, tmp_path / "logs", workers=0, here=meanwhile)
    assert refused
    assert all(entry.is_done for entry in jobs)


def test_a_real_command_that_fails_says_why(tmp_path):
    wrong = Job(name="page", arguments=("view", "--data", "nowhere", "--out", "x.html"), result=tmp_path / "x.html")
    with pytest.raises(
        RigError, match=r"(?s)the job page failed \(status 2\).*rig view: nowhere/manifest.json is miss"
    ):
        run_plan([wrong], tmp_path / "logs", workers=1)
    log = (tmp_path / "logs" / "page.log").read_text()
    assert log.startswith("$ rig view --data nowhere --out x.html\n")


# Commands beside each other: a stand-in for `rig` that keeps a journal.

STAND_IN = """
import os, sys, time
folder, name, *rest = sys.argv[1:]
journal = os.path.join(folder, "journal")
def note(line):
    with open(journal, "a") as file:
        file.write(line + "\\n")
note(f"begin\t{name}\t{os.environ['OMP_NUM_THREADS']}\t{os.getpid()}")
if rest[:1] == ["linger"]:
    time.sleep(0.5)
if rest[:1] == ["sleep"]:
    time.sleep(60)
while rest[:1] == ["work"] and time.process_time() < 0.5:
    pass
deadline = time.time() + 30
for other in rest[1:] if rest[:1] in (["meet"], ["fail"]) else ():
    while f"begin\t{other}\t" not in open(journal).read():
        if time.time() > deadline:
            sys.exit(f"{other} never began")
        time.sleep(0.02)
if rest[:1] == ["die"]:
    os.kill(os.getpid(), int(rest[1]))
if rest[:1] == ["fail"]:
    print("\\n".join(f"line {number}" for number in range(60)))
    sys.exit(3)
if rest[:1] != ["nothing"]:
    open(os.path.join(folder, name), "w").close()
note(f"end\t{name}")
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Let `python -m rig.cli.main` be the stand-in; return what makes its jobs."""
    package = tmp_path / "stand-in" / "rig" / "cli"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "main.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand-in"))

    def make(name, *words, needs=(), threads=1):
        arguments = (str(tmp_path), name, *words)
        return Job(name=name, arguments=arguments, result=tmp_path / name, needs=needs, threads=threads)

    return make


def journal(folder):
    return [line.split("\t") for line in (folder / "journal").read_text().splitlines()]


def test_jobs_run_beside_each_other_after_their_needs_and_alone_where_they_want_all(tmp_path, stand_in):
    jobs = [
        stand_in("last", needs=("c", "alone")),
        stand_in("alone", "linger", needs=("first",), threads=0),
        stand_in("a", "meet", "b", needs=("first",)),
        stand_in("b", "meet", "a", needs=("first",)),
        stand_in("alone too", "linger", needs=("a",), threads=0),
        stand_in("c", "meet", "d", needs=("a", "b")),
        stand_in("d", "meet", "c", needs=("first",)),
        stand_in("first", "linger"),
    ]
    run_plan(jobs, tmp_path / "logs", workers=2)
    needs = {entry.name: set(entry.needs) for entry in jobs}
    alone = {"alone", "alone too"}
    running, ended = set(), set()
    for word, name, *rest in journal(tmp_path):
        if word == "end":
            running.remove(name)
            ended.add(name)
            continue
        assert needs[name] <= ended
        running.add(name)
        assert len(running) <= 2
        assert len(running) == 1 or not alone & running
        assert int(rest[0]) == (CORES if name in alone else max(1, CORES // 2))
    assert ended == set(needs)
    run_plan(jobs, tmp_path / "logs", workers=2)
    assert len(journal(tmp_path)) == 2 * len(jobs), "what is done is not run again"
    times = {entry["job"]: entry for entry in read_times(tmp_path / "logs")}
    assert len((tmp_path / "logs" / TIMES).read_text().splitlines()) == len(times) == len(jobs)
    assert times["alone"]["seconds"] * times["alone"]["threads"] > CORES * 0.5 > 0


def test_core_hours_are_of_processor_time_whatever_runs_beside(tmp_path, stand_in):
    jobs = [stand_in("busy", "work"), stand_in("idle", "linger")]
    run_plan(jobs, tmp_path / "logs", workers=2)
    hours = core_hours(tmp_path / "logs")
    assert 0.5 / 3600 <= hours["busy"] < 30 / 3600
    assert 0 < hours["idle"] < hours["busy"]


def test_what_ends_beside_a_failure_is_counted(tmp_path, stand_in, monkeypatch):
    sleep = time.sleep

    def until_both_have_ended(seconds):
        while not (tmp_path / "journal").exists() or len(journal(tmp_path)) < 2:
            sleep(seconds)
        for word, _, *rest in journal(tmp_path):
            if word == "begin":
                os.waitid(os.P_PID, int(rest[1]), os.WEXITED | os.WNOWAIT)

    monkeypatch.setattr(jobs_module.time, "sleep", until_both_have_ended)
    with pytest.raises(RigError, match="the job bad failed"):
        run_plan([stand_in("bad", "fail", "busy"), stand_in("busy", "work")], tmp_path / "logs", workers=2)
    assert core_hours(tmp_path / "logs")["busy"] >= 0.5 / 3600


def test_what_most_others_wait_for_comes_first(tmp_path, stand_in):
    jobs = [
        stand_in("leaf"),
        stand_in("root"),
        stand_in("all", "linger", threads=0, needs=("root",)),
        stand_in("b", needs=("all",)),
        stand_in("c", needs=("b",)),
        stand_in("after leaf", needs=("leaf",)),
    ]
    run_plan(jobs, tmp_path / "logs", workers=1)
    begun = [name for word, name, *_ in journal(tmp_path) if word == "begin"]
    assert begun == ["root", "all", "leaf", "b", "after leaf", "c"]


def test_a_failure_shows_the_end_of_its_log_stops_the_rest_and_keeps_what_is_done(tmp_path, stand_in):
    jobs = [
        stand_in("done"),
        stand_in("slow", "sleep", needs=("done",)),
        stand_in("bad", "fail", "slow", needs=("done",)),
    ]
    with pytest.raises(RigError) as caught:
        run_plan([*jobs, stand_in("after", needs=("bad",))], tmp_path / "logs", workers=2)
    said = str(caught.value)
    assert f"the job bad failed (status 3); its log is {tmp_path / 'logs' / 'bad.log'}:" in said
    assert "line 59\n" in said
    assert "line 34\n" not in said
    assert "--resume" in said
    begun = {name: rest for word, name, *rest in journal(tmp_path) if word == "begin"}
    assert set(begun) == {"done", "slow", "bad"}
    assert (tmp_path / "done").exists()
    assert not (tmp_path / "slow").exists()
    assert set(core_hours(tmp_path / "logs")) == set(begun), "what was cut has cost time as well"
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun["slow"][1]), 0)


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGKILL, "killed, as .* memory runs out"), (signal.SIGABRT, "ended by SIGABRT")]
)
def test_a_command_that_the_system_ends_is_told_from_one_that_fails(tmp_path, stand_in, number, said):
    with pytest.raises(RigError, match=rf"the job big failed \({said}"):
        run_plan([stand_in("big", "die", str(int(number)))], tmp_path / "logs", workers=1)


def test_a_plan_that_is_terminated_takes_its_commands_along(tmp_path, stand_in):
    code = f"""
from pathlib import Path
from rig.recipes.jobs import Job, run_plan
slow = Job(name="slow", arguments=({str(tmp_path)!r}, "slow", "sleep"), result=Path({str(tmp_path / "slow")!r}))
run_plan([slow], Path({str(tmp_path / "logs")!r}), workers=1)
"""
    sources = str(Path(jobs_module.__file__).parents[2])
    plan = subprocess.Popen([sys.executable, "-c", f"import sys; sys.path.insert(0, {sources!r})\n{code}"])
    deadline = time.monotonic() + 60
    while not (tmp_path / "journal").exists() or not journal(tmp_path):
        assert time.monotonic() < deadline
        assert plan.poll() is None
        time.sleep(0.05)
    plan.terminate()
    assert plan.wait(60) == 128 + signal.SIGTERM
    ((_, _, _, slow),) = journal(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(slow), 0)
    assert set(core_hours(tmp_path / "logs")) == {"slow"}


def test_a_command_that_leaves_no_result_has_failed(tmp_path, stand_in):
    with pytest.raises(RigError, match=r"the job idle failed \(status 0\)"):
        run_plan([stand_in("idle", "nothing")], tmp_path / "logs", workers=1)


# The ladder.


@pytest.fixture(params=["debug", "small", "small-map", "two rounds", "on policy"])
def ladder(request, tmp_path):
    if request.param == "on policy":
        return Ladder(replace(LADDERS.get("crafter/debug"), on_policy=(0.5, 0.0)), tmp_path)
    if request.param == "two rounds":
        return Ladder(replace(LADDERS.get("crafter/debug"), rounds=2), tmp_path)
    return Ladder(LADDERS.get(f"crafter/{request.param}"), tmp_path)


def verbs_of(ladder):
    """Return every job's command as the verb that it is parsed to."""
    verbs = {}
    for entry in ladder.jobs():
        program, verb, *words = shlex.split(entry.command)
        assert program == "rig"
        verbs[entry.name] = read_verb(verb, words)
    return verbs


def test_a_ladder_can_be_run_from_top_to_bottom(ladder):
    jobs, verbs = in_order(ladder.jobs()), verbs_of(ladder)
    assert len(verbs) == len(jobs) == len({entry.result for entry in jobs})
    there = set()
    for entry in jobs:
        verb = verbs[entry.name]
        read = [getattr(verb, name, "") for name in ("source", "agent", "tokenizers", "start", "player")]
        read += [getattr(verb, "vision", "")]
        read += [
            folder for kind in ("lookahead", "describe", "practice", "better") for folder in getattr(verb, kind, ())
        ]
        read += [verb.data] if isinstance(getattr(verb, "data", ()), str) else [*getattr(verb, "data", ())]
        for folder in read:
            place = Path(folder).parent if folder.endswith("/agent") else Path(folder)
            assert not folder or folder.startswith("teacher:") or place in there, (entry.name, folder)
        assert entry.result.is_relative_to(verb.out)
        assert getattr(verb, "resume", True)
        there.add(Path(verb.out))


def test_rows_of_a_phase_differ_in_what_they_speak_and_in_nothing_else(ladder):
    verbs = verbs_of(ladder)
    spoken = {row: ("--no-thought" not in flags, "--no-dream" not in flags) for row, flags in ROWS.items()}
    for phase in ("1", "2"):
        for row, fields in spoken.items():
            assert (verbs[f"{row}-{phase}"].thought, verbs[f"{row}-{phase}"].dream) == fields
    assert len(set(spoken.values())) == len(ROWS)

    def budget(verb):
        same = {"out": "", "thought": True, "dream": True, "start": "", "lookahead": ()}
        return replace(verb, **same, lookahead_share=0, read_back=())

    first = [verbs[f"{row}-1"] for row in ROWS]
    rounds = [ladder.lookahead_run(number) for number in range(1, ladder.config.rounds + 1)]
    last = rounds[-1]
    second = [*(verbs[f"{row}-2"] for row in ROWS), verbs["control-2"], *(verbs[run] for run in rounds)]
    assert len({budget(verb) for verb in first}) == len({budget(verb) for verb in second}) == 1
    assert first[0].steps == ladder.config.steps
    assert second[0].steps == ladder.config.second_steps
    assert all(verbs[f"{row}-2"].start == ladder.agent(f"{row}-1") for row in ROWS)
    assert {verbs[run].start for run in ("control-2", *rounds)} == {ladder.agent("basic-1")}
    assert {(verb.start, verb.lookahead) for verb in first} == {(ladder.agent("base"), ())}
    assert verbs["base"].data == ()
    assert {verb.describe for verb in (verbs["base"], *first, *second)} == {(ladder.path("described"),)}
    assert verbs["base"].vision == ladder.path("vision")
    for count, run in [*enumerate(rounds, 1), (len(rounds), "control-2")]:
        names = [f"{stage}-{number}" for stage in ("s3", "s4") for number in range(1, count + 1)]
        assert [Path(folder).name for folder in verbs[run].lookahead] == [*names, "s4-taught"]
        assert verbs[run].lookahead_share == ladder.config.lookahead_share
    assert verbs[last].read_back == ladder.config.read_back


def test_shares_of_the_data_take_the_same_steps_in_both_rows(ladder):
    verbs = verbs_of(ladder)
    before = 0
    for fraction in ladder.config.fractions:
        action, basic = verbs[f"action-{fraction:g}"], verbs[f"basic-{fraction:g}"]
        assert action.fraction == basic.fraction == fraction
        assert action.steps == basic.steps <= ladder.config.steps
        assert action.data == basic.data == verbs["basic-1"].data
        assert before <= action.steps
        before = action.steps


def test_no_world_that_is_scored_was_ever_taught(ladder):
    verbs = verbs_of(ladder)
    config = ladder.config
    scored = [verb for verb in verbs.values() if isinstance(verb, Eval | Imagine)]
    assert {verb.split for verb in scored} == {"evaluation"}
    assert {type(verb) for verb in verbs.values() if hasattr(verb, "split")} == {Eval, Imagine}
    taught = range(verbs["s1"].skip, verbs["s1"].skip + verbs["s1"].episodes)
    beside = range(verbs["s1-beside"].skip, verbs["s1-beside"].skip + verbs["s1-beside"].episodes)
    assert not set(taught) & set(beside)
    played = []
    for number in range(1, config.rounds + 1):
        review, align = verbs[f"s3-{number}"], verbs[f"s4-{number}"]
        assert (review.skip, review.episodes, review.agent) == (align.skip, align.episodes, align.agent)
        played += range(review.skip, review.skip + review.episodes)
    assert played == list(beside), "the agent is reviewed in worlds it has not learned, which every row then learns"


def test_a_teacher_that_remembers_has_students_that_do(tmp_path):
    ladder = Ladder(LADDERS.get("crafter/small"), tmp_path)
    verbs = verbs_of(ladder)
    trained = {job.name for job in ladder.jobs() if job.arguments[0] == "train"}
    assert {"base", "basic-2", "lookahead-1", "on-policy-1"} <= trained
    assert {verbs[name].history for name in trained} == {8}
    assert {verbs[name].teacher for name in ("s1", "s3-1", "s4-1", "s4-taught", "s1-corrected-1")} == {"crafter-frame"}
    assert verbs["eval-teacher"].agent == "teacher:crafter-frame"
    other = verbs_of(Ladder(LADDERS.get("crafter/small-map"), tmp_path))
    assert {other[name].history for name in trained & other.keys()} == {None}


def test_on_policy_rounds_are_rows_of_their_own(tmp_path):
    """They begin behind RIG-basic, in worlds that nobody learned from, and differ from their control in data alone."""
    plain = Ladder(replace(LADDERS.get("crafter/debug"), practice_rounds=0, ahead_episodes=0), tmp_path)
    ladder = Ladder(replace(plain.config, on_policy=(0.5, 0.0)), tmp_path)
    verbs, usual, config = verbs_of(ladder), verbs_of(plain), plain.config
    assert {name: verb for name, verb in verbs.items() if name in usual} == usual, "the paper's rows stay as they are"
    players = [verbs[f"s1-corrected-{number}"] for number in (1, 2)]
    assert [verb.player for verb in players] == [ladder.agent("basic-2"), ladder.agent("on-policy-1")]
    assert [verb.mixture for verb in players] == [0.5, 0.0]
    taught = config.episodes + config.rounds * config.review_episodes
    assert [verb.skip for verb in players] == [taught, taught + config.on_policy_episodes]
    assert {verb.episodes for verb in players} == {config.on_policy_episodes}
    assert {verb.next_frames for verb in players} == {True}
    untried = verbs_of(Ladder(replace(ladder.config, corrections_tried=False), tmp_path))
    assert [untried[f"s1-corrected-{number}"].next_frames for number in (1, 2)] == [False, False]
    for number in (1, 2):
        ours, control = verbs[f"on-policy-{number}"], verbs[f"longer-{number}"]
        corrected = tuple(ladder.path(f"s2-corrected-{earlier}") for earlier in range(1, number + 1))
        assert ours.data == (*control.data, *corrected)
        assert control.data == verbs["basic-2"].data
        assert replace(ours, data=(), out="", start="") == replace(control, data=(), out="", start="")
        assert ours.start == ladder.agent(f"on-policy-{number - 1}" if number > 1 else "basic-2")
        assert control.start == ladder.agent(f"longer-{number - 1}" if number > 1 else "basic-2")
    assert (verbs["eval-on-policy"].agent, verbs["eval-longer-2"].agent) == (
        ladder.agent("on-policy-2"),
        ladder.agent("longer-2"),
    )


@pytest.mark.parametrize(
    ("rounds", "corrected", "start"),
    [((), True, "basic-2"), ((0.5, 0.0), True, "on-policy-2"), ((0.5, 0.0), False, "basic-2")],
)
def test_plans_are_made_by_the_agent_that_was_corrected_last_or_by_the_papers(rounds, corrected, start, tmp_path):
    """And what learns from its own play replays what that agent has learned from."""
    config = replace(LADDERS.get("crafter/debug"), practice_rounds=0, ahead_episodes=0)
    planning = replace(config.planning, corrected=corrected)
    ladder = Ladder(replace(config, on_policy=rounds, with_planning=True, planning=planning), tmp_path)
    assert ladder.planning_row == ("basic" if start == "basic-2" else "on-policy")
    verbs = verbs_of(ladder)
    for name in ("branches", "eval-resample-2-1", "causality", "improved", "imitated", "dreamed"):
        assert verbs[name].agent == ladder.agent(start), name
    assert verbs["judge"].start == ladder.agent(start)
    assert {verbs[name].data for name in ("judge", "improved", "imitated", "dreamed")} == {verbs[start].data}


@pytest.mark.parametrize(("corrected", "start"), [(False, "basic-2"), (True, "on-policy-1")])
def test_dreams_are_practised_in_worlds_of_their_own_before_plans_are_made(corrected, start, tmp_path):
    """In as many steps as the control without practice, most of them practice; a round practises on all play so far."""
    config = replace(LADDERS.get("crafter/debug"), on_policy=(0.5,), with_planning=True, claim_episodes=5)
    config = replace(config, practice_rounds=2, practice_episodes=3, ahead_episodes=0)
    ladder = Ladder(replace(config, planning=replace(config.planning, corrected=corrected)), tmp_path)
    verbs = verbs_of(ladder)
    last, played = verbs["s1-corrected-1"], ()
    for number, player in ((1, start), (2, "practised-1")):
        practice, practised = verbs[f"s2-practice-{number}"], verbs[f"practised-{number}"]
        played += (practice.out,)
        assert (practice.player, practice.record, practice.episodes) == (ladder.agent(player), "done", 3)
        assert practice.skip == last.skip + last.episodes + 3 * (number - 1)
        assert (practised.data, practised.practice) == (verbs[start].data, played)
        assert (practised.practice_share, practised.describe_share) == (0.8, 0.05)
        assert practised.start == ladder.agent(player)
        same = {"data": (), "practice": (), "practice_share": 0.0, "describe_share": 0.0, "out": "", "start": ""}
        assert replace(practised, **same) == replace(verbs[f"longer-{number}"], **same)
    assert verbs["branches"].skip == practice.skip + 3
    for name in ("branches", "eval-practised", "eval-resample-2-1", "causality", "improved", "imitated"):
        assert verbs[name].agent == ladder.agent("practised-2"), name
    assert verbs["improved"].data == (*verbs[start].data, *played)
    control = {"basic-2": "longer-2", "on-policy-1": "longer-3"}[start]
    assert (control == "longer-3") == ("longer-3" in verbs)
    closely = {f"eval-{row}" for row in ("practised", control, "chance-2-10", "resample-2-1")}
    assert {name for name, verb in verbs.items() if name.startswith("eval-") and verb.episodes == 5} == closely


def test_what_is_found_better_by_dreams_is_imitated_beside_a_control_without_that(tmp_path):
    """The agent that has practised plays by its dreams, as the row that is shown does; all else of that is practice."""
    config = replace(LADDERS.get("crafter/debug"), with_planning=True, practice_rounds=2, ahead_episodes=3)
    ladder = Ladder(config, tmp_path)
    verbs = verbs_of(ladder)
    ahead = verbs["s2-ahead"]
    assert (ahead.player, ahead.record, ahead.episodes) == (ladder.agent("practised-2"), "better", 3)
    shown = verbs["eval-resample-2-1"]
    for field in ("plans", "dreams", "judge", "resample"):
        assert getattr(ahead, field) == getattr(shown, field)
    practice = verbs["s2-practice-2"]
    assert (ahead.skip, verbs["branches"].skip) == (practice.skip + practice.episodes, ahead.skip + 3)
    distilled, control = verbs["distilled"], verbs["undistilled"]
    assert (distilled.better, control.better) == ((ahead.out,), ())
    assert replace(distilled, better=(), better_share=0.0, out="") == replace(control, better_share=0.0, out="")
    assert distilled.start == ladder.agent("practised-2")
    assert distilled.practice == (*verbs["practised-2"].practice, ahead.out)
    assert (distilled.better_share, distilled.practice_share, distilled.steps) == (0.12, 0.7, config.second_steps)
    with pytest.raises(RigError, match="give practice_rounds"):
        replace(config, practice_rounds=0)


def test_all_behind_rig_basic_and_its_controls_may_learn_more_at_a_step(tmp_path):
    """What is compared with each other learns as much."""
    config = replace(LADDERS.get("crafter/debug"), on_policy=(0.5,), corrected_lookahead=True, with_planning=True)
    verbs = verbs_of(Ladder(replace(config, more_batch_size=24), tmp_path))
    sizes = {name: verb.batch_size for name, verb in verbs.items() if isinstance(verb, Train)}
    more = {"on-policy-1", "practised-1", "longer-1", "longer-2", "distilled", "undistilled"}
    more |= {"corrected", "corrected-control"}
    assert {name for name, size in sizes.items() if size == 24} == more
    assert {size for name, size in sizes.items() if name not in more} == {config.batch_size}
    assert {verb.batch_size for verb in verbs_of(Ladder(config, tmp_path)).values() if isinstance(verb, Train)} == {8}


def test_fewer_descriptions_may_be_learned_in_the_second_part_and_behind(tmp_path):
    config = replace(LADDERS.get("crafter/debug"), on_policy=(0.5,), fractions=(0.5,), with_planning=True)
    asked = replace(config, describe_share=0.3, second_describe_share=0.2, practice_describe_share=0.1)
    verbs = verbs_of(Ladder(asked, tmp_path))
    shares = {name: verb.describe_share for name, verb in verbs.items() if isinstance(verb, Train) and verb.data}
    assert {name for name, share in shares.items() if share == 0.1} == {"practised-1", "distilled", "undistilled"}
    firsts = {"action-1", "imagine-1", "reason-1", "basic-1", "action-0.5", "basic-0.5"}
    assert {name for name, share in shares.items() if share == 0.3} == firsts
    seconds = {"action-2", "imagine-2", "reason-2", "basic-2", "control-2", "on-policy-1", "longer-1", "longer-2"}
    assert {name for name, share in shares.items() if share == 0.2} == seconds | {"lookahead-1"}


def test_dreams_are_weighed_only_where_it_is_asked_for(tmp_path):
    config = replace(LADDERS.get("crafter/debug"), with_planning=True)
    every = verbs_of(Ladder(config, tmp_path))
    fewer = verbs_of(Ladder(replace(config, planning=replace(config.planning, weighed=False)), tmp_path))
    assert set(every) - set(fewer) == {"eval-weighed-2", "eval-chance-2-40"}
    assert fewer == {name: verb for name, verb in every.items() if name in fewer}


def test_the_most_plans_are_scored_at_every_depth_and_fewer_without_dreams_and_with_one(tmp_path):
    config = LADDERS.get("crafter/debug")
    planning = replace(config.planning, plans=(2, 4), dreams=(0, 1, 3))
    verbs = verbs_of(Ladder(replace(config, with_planning=True, planning=planning), tmp_path))
    scored = {name.removeprefix("eval-plans-"): verb for name, verb in verbs.items() if name.startswith("eval-plans-")}
    # The two that are shown are scored on everything, and read from there.
    assert list(scored) == ["4-0", "4-1", "4-3"]
    assert [verbs[f"eval-{name}"].dreams for name in ("votes-2", "resample-2-1")] == [0, 1]
    more = replace(config, with_planning=True, planning=replace(planning, episodes=config.evaluation_episodes + 1))
    every = [name for name in verbs_of(Ladder(more, tmp_path)) if name.startswith("eval-plans-")]
    assert [name.removeprefix("eval-plans-") for name in every] == ["2-0", "2-1", *scored], "too few are played there"
    for name, verb in scored.items():
        plans, dreams = map(int, name.split("-"))
        judge = "effect" if dreams else "majority"
        assert (verb.plans, verb.dreams, verb.judge, verb.resample) == (plans, dreams, judge, bool(dreams))
    assert (verbs["dreamed"].in_dreams, verbs["dreamed"].judge, verbs["dreamed"].midway) == (True, "effect", 1.0)
    assert verbs["dreamed"].groups == 8 * verbs["improved"].groups
    assert {verbs[name].resample for name in ("imitated", "eval-said-2-1")} == {False}


def test_reviews_are_learned_behind_the_rounds_too_with_a_control(tmp_path):
    ladder = Ladder(replace(LADDERS.get("crafter/debug"), on_policy=(0.5, 0.0), corrected_lookahead=True), tmp_path)
    verbs = verbs_of(ladder)
    align, last = verbs["s4-corrected"], verbs["s1-corrected-2"]
    assert (align.agent, align.skip) == (ladder.agent("on-policy-2"), last.skip + last.episodes)
    ours, control = verbs["corrected"], verbs["corrected-control"]
    assert ours.start == ladder.agent("on-policy-2")
    assert ours.data == verbs["on-policy-2"].data
    assert ours.lookahead == (ladder.path("s4-corrected"), ladder.path("s4-taught"))
    same = {"out": "", "read_back": (), "dream": True}
    assert replace(ours, **same) == replace(control, **same)
    played = {
        name: (verbs[f"eval-{name}"].agent, verbs[f"eval-{name}"].dreams) for name in ("corrected-0", "corrected-1")
    }
    assert played == {f"corrected-{dreams}": (ladder.agent("corrected"), dreams) for dreams in (0, 1)}
    assert verbs["eval-corrected-control"].agent == ladder.agent("corrected-control")
    with pytest.raises(RigError, match="give on_policy"):
        replace(LADDERS.get("crafter/debug"), corrected_lookahead=True)


def test_rows_are_scored_on_the_same_episodes(ladder):
    verbs = verbs_of(ladder)
    evals = {name.removeprefix("eval-"): verb for name, verb in verbs.items() if name.startswith("eval-")}
    whole = {name: verb for name, verb in evals.items() if not name.startswith(("sweep-", "codes-"))}
    assert {"action", "imagine", "reason", "basic", "control", "control-0", "teacher", "random"} < set(whole)
    assert {f"lookahead-{dreams}" for dreams in (0, *ladder.config.dreams)} < set(whole)
    teacher = evals.pop("teacher")
    del whole["teacher"]
    assert len({(verb.tasks, verb.skip, verb.temperature) for verb in whole.values()}) == 1
    closely = {name for name, verb in whole.items() if verb.episodes != whole["basic"].episodes}
    claims = {"practised", "distilled", "undistilled", ladder.planning_control}
    assert closely == (claims if ladder.config.claim_episodes else set())
    assert {whole[name].episodes for name in closely} <= {ladder.config.claim_episodes}
    assert (teacher.tasks, teacher.skip) == (whole["basic"].tasks, 0), "the first of its episodes are those of the rows"
    assert teacher.episodes == (ladder.config.teacher_episodes or whole["basic"].episodes)
    for name in set(evals) - set(whole):
        assert (evals[name].episodes, evals[name].skip) == (whole["basic"].episodes, 0)
        assert evals[name].tasks == ladder.config.sweep_tasks
    assert evals["control"].dreams == 1
    assert evals["codes-1"].read_back == "codes"


def test_episodes_that_agents_play_can_be_cut_and_the_teachers_are_not(tmp_path):
    verbs = verbs_of(Ladder(replace(LADDERS.get("crafter/debug"), most_steps=9), tmp_path))
    most = {name: verb.most_steps for name, verb in verbs.items() if hasattr(verb, "most_steps")}
    whole = {
        "eval-teacher",
        "s1",
        "s1-beside",
        *(name for name in most if name.startswith("imagine-") and not name.endswith("-own")),
    }
    assert {name for name in most if most[name] is None} == whole
    assert {most[name] for name in most if name not in whole} == {9}
    assert {"s3-1", "s4-1", "eval-random", "eval-basic", "imagine-basic-own"} <= set(most) - whole


def test_a_world_without_labeller_and_describer_has_a_ladder_without_what_they_are_for(tmp_path):
    config = LADDERS.get("crafter/debug")
    bare = Ladder(replace(config, labeller="", describer=""), tmp_path)
    verbs = verbs_of(bare)
    assert set(verbs_of(Ladder(config, tmp_path))) - set(verbs) == {"vision", "described", "base"}
    assert {entry.name for entry in in_order(bare.jobs())} == set(verbs)
    for name, verb in verbs.items():
        assert not getattr(verb, "vision", ""), name
        assert not getattr(verb, "describe", ()), name
    assert {verbs[f"{row}-1"].start for row in ROWS} == {""}
    blind = verbs_of(Ladder(replace(config, labeller=""), tmp_path))
    assert (blind["base"].vision, blind["action-1"].start) == ("", bare.agent("base"))
    untold = verbs_of(Ladder(replace(config, describer=""), tmp_path))
    assert {untold[f"{row}-1"].vision for row in ROWS} == {bare.path("vision")}


def test_worlds_and_passes_are_the_configurations_own(tmp_path):
    config = replace(LADDERS.get("crafter/debug"), steps=10_000)
    verbs = verbs_of(Ladder(replace(config, worlds=5, steps_per_episode=60), tmp_path))
    played = [verb for verb in verbs.values() if isinstance(verb, Eval | Imagine)]
    played += [verbs["s3-1"], verbs["s4-1"]]
    assert {verb.batch_size for verb in played} == {5}
    assert verbs["basic-0.5"].steps == 3 * verbs_of(Ladder(config, tmp_path))["basic-0.5"].steps


# The report.


def test_rows_that_share_fewer_than_two_episodes_are_not_compared(made, tmp_path):
    taught = list(Dataset(made.data))
    keep_scores(tmp_path / "eval" / "basic", taught)
    keep_scores(tmp_path / "eval" / "reason", taught[:1])
    keep_scores(tmp_path / "eval" / "action", taught[:2])
    results = Results(Ladder(LADDERS.get("crafter/debug"), tmp_path))
    assert results.difference("basic", "reason") is None
    assert results.difference("basic", "action").estimate.n == 2


def test_a_report_tells_what_is_there_with_intervals_and_leaves_out_what_is_not(made, tmp_path):
    taught = list(Dataset(made.data))
    keep_scores(tmp_path / "eval" / "basic", taught)
    times = [("s1", 1800), ("basic-1", 3600), ("basic-1", 3600), ("eval-basic", 720)]
    (tmp_path / "logs").mkdir()
    with (tmp_path / "logs" / TIMES).open("w") as file:
        file.writelines(json.dumps({"job": name, "seconds": count, "threads": 2}) + "\n" for name, count in times)
    keep_scores(tmp_path / "eval" / "reason", [replace(entry, success=entry.seed % 2 == 0) for entry in taught])
    page = write_report(Ladder(LADDERS.get("crafter/debug"), tmp_path), tmp_path / "page" / "ladder.md", "A title")
    lines = page.read_text().splitlines()
    assert lines[0] == "# A title"
    assert "drawn at temperature 0.5, dreams greedily" in page.read_text()
    (left,) = [line for line in lines if line.startswith("**Not yet there:** ")]
    names = set(left.removeprefix("**Not yet there:** ").rstrip(".").split(", "))
    assert {"s1", "eval-action", "eval-lookahead-1"} <= names
    assert not {"eval-basic", "eval-reason"} & names
    rows = table_rows(lines)
    (basic,) = [row for row in rows if row[0] == "RIG-basic" and len(row) == 7]
    assert basic[1].startswith("1.00 [0.")
    (claims,) = [row for row in rows if row[0] == "RIG-basic" and len(row) == 5]
    assert claims[2:] == ["1.000 [1.000, 1.000]", "1.000", "1.000"]
    assert int(claims[1]) > sum(len(entry.steps) for entry in taught)
    (difference,) = [row for row in rows if row[0] == "RIG-basic − + reason"]
    losses = sum(entry.seed % 2 for entry in taught)
    assert difference[1].startswith(f"{losses / len(taught):+.3f} [")
    assert difference[3] == f"{losses} / 0"
    assert "All 3 jobs together: 5.4 core hours (data 1.0, training 4.0, scores 0.4)." in lines
    assert not any(row[0] in ("teacher", "RIG-lookahead, n = 1") for row in rows)
    sections = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert sections == ["The ladder", "Success by task and setting", "Reasoning", "What was spent", "Commands"]
    assert not (tmp_path / "page" / "figures").exists()


def test_a_sweep_is_compared_with_no_dreams_on_its_own_tasks(made, tmp_path):
    ladder = Ladder(LADDERS.get("crafter/debug"), tmp_path)
    (task,) = ladder.config.sweep_tasks
    taught = list(Dataset(made.data))
    inside = {entry.id for entry in taught if f"{entry.task}/{entry.setting}" == task}
    assert 2 <= len(inside) < len(taught), "episodes of other tasks do not count"
    first = min(inside)
    keep_scores(tmp_path / "eval" / "lookahead-0", [replace(entry, success=entry.id == first) for entry in taught])
    keep_scores(tmp_path / "eval" / "lookahead-1", [replace(entry, success=entry.id in inside) for entry in taught])
    keep_scores(
        tmp_path / "eval" / "sweep-2", [replace(entry, success=False) for entry in taught if entry.id in inside]
    )
    page = write_report(ladder, tmp_path / "page.md", "A title").read_text()
    table = page.split("## Dreams ahead")[1].split("## ")[0]
    rows = {name: cells for name, *cells in table_rows(table.splitlines())}
    count = len(inside)
    zero, one, two = (rows[f"RIG-lookahead, n = {n}"] for n in range(3))
    assert zero[0].startswith(f"{1 / count:.2f} [")
    assert zero[1:3] == ["–", "–"]
    assert one[1].startswith(f"{1 - 1 / count:+.3f} [")
    assert one[2] == f"{count - 1} / 0"
    assert two[0].startswith("0.00 [")
    assert two[2] == "0 / 1"


def dream_scores(*, cells):
    """Scores of dreams one and two steps ahead, as an evaluation would have written them."""
    share = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 8}
    entry = {"psnr": {**share, "value": 21.25}, "ssim": share, "identical": 0}
    entry |= {"frechet": {"value": 0.125, "extractor": "e", "dims": 3, "n": 8, "n_references": 8, "warning": ""}}
    entry |= {"action_agreement": {**share, "value": 0.75}, "action_agreement_by_chance": 0.2}
    if cells:
        entry |= {"cells_right": {**share, "value": 0.875}, "changed_cells_right": None, "stills_right": share}
    entries = [{"steps": steps, **entry} for steps in (1, 2)]
    made = {**provenance(), "command": "rig imagine"}
    config = {"agent": "runs/basic/agent", "split": "evaluation"}
    counts = {"chains": 8, "noise_actions": 0.1, "passes": 3.0}
    return {"dream": entries, "tokenizer": entries, "copy": entries, "provenance": made, "config": config, **counts}


@pytest.mark.parametrize("cells", [True, False])
def test_tables_of_dreams_have_a_column_for_each_measure_that_was_taken(tmp_path, cells):
    ladder, scores = Ladder(LADDERS.get("crafter/debug"), tmp_path), dream_scores(cells=cells)
    for name in ("basic", "basic-own"):
        write_json(tmp_path / "imagine" / name / "imagination.json", scores)
    text = write_report(ladder, tmp_path / "page.md", "A title").read_text()
    rows = table_rows(text.split("## Imagination")[1].split("## ")[0].splitlines())
    first, own = (dict(zip(header, row, strict=True)) for header, row in (rows[:2], rows[-2:]))
    always = {"agreement with action": "0.750 [0.400, 0.600]", "PSNR (dB)": "21.2 [0.4, 0.6]"}
    always |= {"SSIM": "0.500 [0.400, 0.600]"}
    told = {"cells right": "0.875 [0.400, 0.600]", "changed cells right": "–"} if cells else {}
    stills = {"stills right": "0.500 [0.400, 0.600]"} if cells else {}
    assert first == {"frames": "RIG-basic", "steps ahead": "1", **told, **always, "Fréchet": "0.125"}
    assert own == {"agent": "RIG-basic", "dreams": "8", **told, **stills, **always}
    assert ("Changed cells" in text, "Stills" in text) == (cells, cells)
    axis = "share of grid cells right" if cells else "SSIM"
    assert f"<!-- {axis} -->" in (tmp_path / "figures" / "page" / "dream-depth.svg").read_text()
    assert ("cells right" in imagination_text(scores)) == cells
    assert "0.125" in imagination_text(scores)


def test_dreams_are_shown_as_pictures_beside_the_page_with_whose_they_are(tmp_path):
    ladder = Ladder(LADDERS.get("minetest/debug"), tmp_path / "root")
    for name in ("basic", "imagine"):
        write_json(ladder.root / "imagine" / name / "imagination.json", dream_scores(cells=False))
    page = write_report(ladder, tmp_path / "page.md", "A title")
    assert "pictures" not in page.read_text(), "none were drawn"
    (ladder.root / "imagine" / "basic" / "dreams.jpg").write_bytes(b"a picture")
    text = write_report(ladder, page, "A title").read_text()
    assert "![dreams-basic](figures/page/dreams-basic.jpg)" in text
    assert "CC BY-SA" in text
    assert (tmp_path / "figures" / "page" / "dreams-basic.jpg").read_bytes() == b"a picture"


def test_pages_in_one_folder_have_figures_of_their_own(tmp_path):
    ladder = Ladder(LADDERS.get("crafter/debug"), tmp_path / "root")
    write_json(ladder.root / "imagine" / "basic" / "imagination.json", dream_scores(cells=True))
    for name in ("one", "two"):
        page = write_report(ladder, tmp_path / "pages" / f"{name}.md", "A title")
        assert f"](figures/{name}/dream-depth.svg)" in page.read_text()
        assert (page.parent / "figures" / name / "dream-depth.svg").is_file()
