"""The playground's server: an agent heard thinking, a walk through dreams, recordings that last; bounds and doors."""

import base64
import json
import logging
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import httpx
import numpy as np
import pytest
from fuzz_agents import good_agent
from makers import agent_training
from playground_makers import Tab, playground
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

import rig
from rig.actions import CRAFTER, MINERL, Action, ActionSpace
from rig.agents import AgentCheckpoint, HowToPlay, Lookahead
from rig.agents.how import load_policy
from rig.cli.main import main
from rig.client.messages import frame_of as read_png
from rig.data import Dataset
from rig.dialogue import PromptFormat
from rig.envs import Split, make_world
from rig.envs.crafter.cells import CrafterCells
from rig.envs.seeds import split_of
from rig.errors import RigError
from rig.model.fit import unfit_frame
from rig.playground import messages
from rig.playground.config import MESSAGE_BYTES, PlaygroundConfig
from rig.playground.house import open_house
from rig.playground.keyboards import keyboard_of
from rig.playground.parting import UNLIKE, Parting, parting_of
from rig.playground.scene import Scene, episode_of
from rig.playground.session import Pace
from rig.playground.shelf import shelf_of
from rig.serve.guard import token_of
from rig.stages import ReasonConfig, reason
from rig.train import train_agent

TOKEN = "a token of thirty-two characters"


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground")
    with playground(record=str(folder / "s0"), hertz=50) as server:
        server.record = folder / "s0"
        yield server


@pytest.fixture
def tab(quick):
    with Tab(quick.ws) as opened:
        yield opened


def test_what_is_decided_on_the_page_is_what_the_agent_decides(made):
    """Step by step, with the seeds of a rollout; an instruction, or a thought, that is changed is followed from."""
    options = {"thought_tokens": 12, "entropy_threshold": 0.0, "temperature": 0.0, "dtype": "float32"}
    how = HowToPlay(planner_for=lambda _: Lookahead(dreams=1), **options)
    policy = load_policy(made.agent, how, "crafter")
    world = make_world("crafter")
    scene = Scene(world, episode_of(world, "place_table/tool", Split.VALIDATION, 1))
    with playground(made.agent, **options) as server, Tab(server.ws) as tab:
        tab.say("begin", task="place_table/tool", number=1)
        for number in range(3):
            tab.say("step")
            assert not number or tab.until("scene")["step"] == scene.steps
            told = tab.until("decision")
            seed = scene.episode.decision_seed(scene.steps)
            decision = policy.decide([scene.observation], [seed])[0]
            assert (told["action"], told["thought"]) == (world.actions.format(decision.action), decision.thought)
            scene.act(decision.action)
        tab.say("ask", instruction="find a cow")
        assert tab.until("begun")["instruction"] == "find a cow"


def test_an_agent_is_heard_held_stepped_taken_over_and_asked_again(tab):
    first = tab.until("state")
    assert (first["runs"], first["decided"]) == (False, False)
    tab.say("step")
    growing = [tab.until("heard") for _ in range(3)]
    assert growing[0]["part"] == "thought"
    assert not growing[0]["is_whole"]
    dream = tab.until("heard", lambda told: told["part"] == "dream")
    assert dream["frame"].startswith("iVBOR")
    decided = tab.until("decision")
    assert tab.until("state")["decided"]
    tab.say("ask", thought="go")
    assert tab.until("heard", lambda told: told["is_whole"])["text"] == "go"
    assert tab.until("decision")["plans"][0]["action"] in (*tab.about["keys"], "noop")
    tab.say("ask", review="no")
    assert tab.until("decision")["thought"] == "no"
    tab.say("ask")
    assert tab.until("decision")["thought"] is not None
    assert decided["review"] is not None
    tab.say("run")
    assert [tab.until("scene")["step"] for _ in range(2)] == [1, 2]
    tab.say("take-over")
    tab.until("state", lambda told: told["by_keys"])
    for key in ("move_left", "use"):
        tab.say("press", keys=[key])
        assert tab.until("scene")["previous"] == key
    tab.say("hand-back")
    tab.until("state", lambda told: not told["by_keys"])
    tab.say("planner", planner="at once")
    tab.say("step")
    assert tab.until("decision")["review"] is None


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ("nonsense", "the message cannot be read"),
        ('{"say": "sing"}', "sing"),
        ('{"say": "run", "loud": true}', "unknown field `loud`"),
        ('{"say": "begin", "task": "fly/manual"}', "'fly'"),
        ('{"say": "begin", "task": "collect_wood/manual", "number": 201}', "<= 200"),
        ('{"say": "press", "keys": ["use"]}', "take over first"),
        ('{"say": "planner", "planner": "luck"}', "there is no planner 'luck'"),
        ('{"say": "ask", "thought": ""}', "the thought is empty"),
        ('{"say": "ask", "thought": "\\ud800"}', "cannot be read|no Unicode"),
        ('{"say": "ask", "instruction": "human: wood"}', "fixed phrase 'human:'"),
        ('{"say": "view", "view": "attic"}', "cannot be read"),
        ('{"say": "keep"}', "nothing that can be said to the view 'watch'"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name_and_the_session_goes_on(tab, said, wrong):
    tab.socket.send(said)
    error = tab.until("error")
    assert error["code"] in ("refused", "bad_message")
    assert re.search(wrong, error["message"])
    tab.say("take-over")
    assert tab.until("state", lambda told: told["by_keys"])


def test_messages_are_bounded_in_size_and_number(quick):
    with Tab(quick.ws) as tab:
        tab.socket.send("x" * (MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            tab.until("nothing of the kind")
    with playground(messages_per_second=5) as few, Tab(few.ws) as tab:
        for _ in range(40):
            tab.say("pause")
        assert tab.until("error")["code"] == "too_fast"


def test_a_pace_allows_twice_as_many_at_once_and_no_more_than_its_number_on_average():
    now = [0.0]
    pace = Pace(2, clock=lambda: now[0])
    assert [pace.allows() for _ in range(5)] == [True] * 4 + [False]
    now[0] = 0.5
    assert [pace.allows() for _ in range(2)] == [True, False]
    now[0] = 100.0
    assert sum(pace.allows() for _ in range(9)) == 4


def test_pages_are_bounded_and_end_with_their_browser(quick):
    with playground(sessions=1) as one:
        with Tab(one.ws), pytest.raises(InvalidStatus, match="429"):
            connect(one.ws)
        until_none(one)
        with Tab(one.ws) as tab:
            assert tab.about["views"][0] == "watch"


def until_none(server):
    until = time.monotonic() + 10
    while server.doors.sessions:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_pages_of_others_may_not_ask_and_no_fault_is_made_of_it(quick, monkeypatch):
    complained = []
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "error", lambda *told: complained.append(told))
    elsewhere = {"host": "evil.example"}
    assert httpx.get(quick.http, headers=elsewhere).status_code == 403
    with pytest.raises(InvalidStatus, match="403"):
        connect(quick.ws, origin="http://evil.example")
    with connect(quick.ws, origin=quick.http.rstrip("/")) as own:
        assert "about" in own.recv()
    until_none(quick)
    assert complained == []
    page = httpx.get(quick.http)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", ""), "it loads nothing"


def test_a_browser_shows_its_token_once_and_is_known_by_its_cookie():
    with playground(token=TOKEN.encode()) as server:
        assert httpx.get(server.http).status_code == 401
        assert httpx.get(server.http, params={"token": "another"}, follow_redirects=True).status_code == 401
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(server.http, params={"token": TOKEN})
            assert page.status_code == 200
            assert TOKEN not in str(page.url)
            cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        with pytest.raises(InvalidStatus, match="401"):
            connect(server.ws)
        with connect(server.ws, additional_headers={"cookie": cookie}) as own:
            assert "about" in own.recv()


def test_an_agent_that_neither_thinks_nor_dreams_is_watched_and_played_beside(tmp_path):
    checkpoint = AgentCheckpoint.load(good_agent())
    plain = PromptFormat(thought=False, dream=False)
    replace(checkpoint, prompt_format=plain).save(tmp_path / "plain")
    with playground(tmp_path / "plain") as server, Tab(server.ws) as tab:
        assert tab.about["views"] == ["watch", "record"]
        for planner in tab.about["planners"]:
            tab.say("planner", planner=planner)
            tab.say("ask")
            assert tab.until("decision")["thought"] is None
        tab.say("ask", thought="go")
        assert "without thoughts" in tab.until("error")["message"]
        tab.say("view", view="dream")
        assert "nothing that can be said" in tab.until("error")["message"]
    with pytest.raises(RigError, match="no agent for 'minerl' comes with rig"):
        open_house(PlaygroundConfig(environment="minerl"))


def test_elsewhere_a_token_is_needed(monkeypatch):
    monkeypatch.delenv("RIG_SERVE_TOKEN", raising=False)
    with pytest.raises(RigError, match="the token has 0 characters"):
        token_of(PlaygroundConfig(host="0.0.0.0").serving)


def test_every_key_of_every_world_can_be_pressed():
    for space in (CRAFTER, MINERL, ActionSpace(name="own", keys=("fly", "dig"))):
        keyboard = keyboard_of(space)
        assert list(keyboard) == list(space.keys)
        codes = [code for codes in keyboard.values() for code in codes]
        assert len(set(codes)) == len(codes) >= len(space.keys)
    assert messages.read(b'{"say": "press"}') == messages.Press()


def play(tab, task="collect_wood/manual", presses=("move_left", "use", "move_up"), number=0):
    """Record an episode, key by key, time waiting for each; return the frames that were shown, the first one first."""
    tab.say("view", view="record")
    tab.say("begin", task=task, number=number)
    tab.until("playing", lambda told: told["task"] == task and told["step"] == 0)
    tab.say("record", on=True, waits=True)
    tab.until("recording", lambda told: told["runs"])
    shown = []
    for count, key in enumerate(presses, 1):
        tab.say("keys", keys=[], tapped=[key])
        told = tab.until("playing", lambda told, count=count: told["step"] == count)
        shown.append(told)
    return shown


def frame_of(told):
    return read_png(base64.b64decode(told["frame"]))


def test_what_is_played_becomes_a_dataset_that_is_verified_and_trained_on(quick, made, capsys, tmp_path):
    with Tab(quick.ws) as tab:
        shown = play(tab)
        tab.say("keep")
        (kept,) = tab.until("recording", lambda told: told["kept"])["kept"]
        assert (kept["steps"], kept["task"]) == (3, "collect_wood/manual")
        play(tab, presses=["sleep"] * 4)
        tab.say("drop")
        assert len(tab.until("recording", lambda told: not told["begun"])["kept"]) == 1
        play(tab, presses=["move_up", "use"])
    until_none(quick)
    dataset = Dataset(quick.record)
    dataset.verify()
    assert dataset.info.stage == "s0"
    first, second = dataset
    assert [CRAFTER.format(step.action) for step in first.steps] == ["move_left", "use", "move_up"]
    assert all(np.array_equal(step.next_frame, frame_of(told)) for step, told in zip(first.steps, shown, strict=True))
    assert split_of(first.seed) is Split.TRAIN
    assert first.id.endswith("take-1")
    assert second.id.endswith("take-2"), "the page was closed, and what was played until then is kept"
    assert len(second.steps) == 2
    assert not list(quick.record.with_name("s0.playing").glob("*.jsonl"))
    assert main(["inspect", str(quick.record), "--verify"]) == 0
    assert "2 trajectories" in capsys.readouterr().out
    silent = agent_training(quick.record, made.tokenizers, prompt_format=PromptFormat(thought=False))
    assert (train_agent(silent, tmp_path / "silent") / "model.safetensors").is_file()
    reason(quick.record, ReasonConfig(), tmp_path / "s2")
    assert all(step.thought for one in Dataset(tmp_path / "s2") for step in one.steps)


def test_time_runs_by_its_clock_whatever_is_pressed(quick):
    with Tab(quick.ws) as tab:
        tab.say("view", view="record")
        tab.say("record", on=True)
        tab.say("keys", keys=["move_left", "move_up"])
        started = time.monotonic()
        told = tab.until("playing", lambda told: told["step"] == 10)
        assert time.monotonic() - started > 0.15, "ten steps of 20 ms"
        assert told["previous"] == "move_up", "where one key can be pressed, the last counts"
        tab.say("keys", keys=[])
        tab.until("playing", lambda told: told["previous"] == "noop")
        tab.say("record", on=False)
        tab.until("recording", lambda told: not told["runs"])
        tab.say("keys", keys=["fly"])
        assert "no key 'fly'" in tab.until("error")["message"]
        tab.say("view", view="watch")
        tab.until("state")


def test_what_a_killed_server_leaves_is_kept_by_the_next_one(tmp_path):
    """The server itself is killed, in the middle of an episode, with one kept before."""
    record = tmp_path / "s0"
    command = [sys.executable, "-m", "rig", "playground", "--agent", str(good_agent()), "--record", str(record)]
    with begun([*command, "--port", "0", "--dreams", "1"]) as (process, address), Tab(f"ws://{address}/play") as tab:
        play(tab)
        tab.say("keep")
        tab.until("recording", lambda told: told["count"] == 1)
        shown = play(tab, presses=["move_down", "use", "use"])
        process.kill()
        process.wait()
    assert len(Dataset(record).ids) == 1
    Dataset(record).verify()
    lines = []
    open_house(PlaygroundConfig(agent=str(good_agent()), record=str(record)), lines.append).shelf.close()
    assert lines == ["recovered collect_wood-manual-0-take-2, 3 steps"]
    _, again = Dataset(record)
    assert [CRAFTER.format(step.action) for step in again.steps] == ["move_down", "use", "use"]
    assert np.array_equal(again.steps[-1].next_frame, frame_of(shown[-1]))


@contextmanager
def begun(command):
    """Begin a server; yield its process and its address."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    try:
        (address,) = re.findall(r"open http://(\S+)/ in a browser", process.stderr.readline())
        yield process, address
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_log_that_is_spoilt_is_told_of_and_stays(tmp_path):
    world = make_world("crafter")
    shelf = shelf_of(str(tmp_path / "s0"), world)
    scene = Scene(world, episode_of(world, "collect_wood/manual", Split.TRAIN, 0))
    take = shelf.begin(scene)
    for key in ("move_left", "move_up", "use"):
        take.act(Action.press(key))
    whole = take.log.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = whole[2].replace('"frame": ', '"frame": 1')
    for text, told in (
        ("".join(whole[:-1]) + '{"action": "us', "2 steps"),
        ("".join([*whole[:2], changed, *whole[3:]]), "1 steps; 2 more could not be had again"),
        (whole[0], "an episode without a step"),
    ):
        take.log.write_text(text, encoding="utf-8")
        assert told in shelf.recover(world)[0]
        assert not take.log.exists()
    for text in ("", "{}\n", '{"action": "use"}\n', whole[0].replace("crafter", "minetest"), whole[0] + "[1]\n"):
        take.log.write_text(text, encoding="utf-8")
        assert "could not be played again" in shelf.recover(world)[0]
        assert take.log.exists()
    take.log.unlink()
    last = take.log.with_name("collect_wood-manual-0-take-2.jsonl")
    last.write_text("".join(whole), encoding="utf-8")
    assert shelf.recover(world) == ["collect_wood-manual-0-take-2 was kept already"], "killed just before its log went"
    assert not last.exists()
    with pytest.raises(RigError, match="being written by another process"):
        shelf_of(str(tmp_path / "s0"), world).begin(Scene(world, scene.episode))
    shelf.close()
    assert [len(one.steps) for one in Dataset(tmp_path / "s0")] == [2, 1]


def test_a_walk_through_dreams_is_the_agents_and_reality_beside_it_the_worlds(made):
    options = {"thought_tokens": 12, "entropy_threshold": 0.0, "dtype": "float32"}
    keys = ["move_left", "use", "move_up"]
    world = make_world("crafter")
    start = Scene(world, episode_of(world, "place_table/tool", Split.VALIDATION, 1))
    agent = rig.load_agent(made.agent, **options)
    dreamed = agent.dream(start.frame, keys, start.instruction)
    with playground(made.agent, **options) as server, Tab(server.ws) as tab:
        tab.say("begin", task="place_table/tool", number=1)
        tab.say("view", view="dream")
        assert np.array_equal(frame_of(tab.until("woken")), start.frame)
        for count, key in enumerate(keys[:2]):
            tab.say("press", keys=[key])
            told = tab.until("dreamed")
            assert (told["number"], told["action"]) == (count + 1, key)
            assert np.array_equal(unfit_frame(frame_of(told), *start.frame.shape[:2]), dreamed[count])
        tab.say("reality", on=True)
        really = [tab.until("really"), tab.until("really")]
        tab.say("press", keys=keys[2:])
        really.append(tab.until("really"))
        for told, key in zip(really, keys, strict=True):
            assert np.array_equal(frame_of(told), start.act(Action.press(key)))
            assert len(told["cells"]) == round(told["looks"] * told["grid"] ** 2)
        tab.say("press", keys=["move_left", "use"])
        assert "one key a step" in tab.until("error")["message"]
        tab.say("view", view="watch")
        tab.until("scene", lambda told: told["step"] == 0)
        tab.say("view", view="dream")
        assert tab.until("woken")["frames"] == 3, "it goes on where it was"
        tab.say("wake")
        assert tab.until("woken")["frames"] == 0
        tab.say("view", view="watch")
        tab.say("take-over")
        tab.say("press", keys=["move_left"])
        tab.say("view", view="dream")
        assert tab.until("woken")["step"] == 1


def test_where_a_dream_and_what_comes_part():
    codes, frame = np.arange(81, dtype=np.uint16), np.full((80, 80, 3), 100, np.uint8)
    other, dreamed = codes.copy(), frame.copy()
    other[[3, 5, 80]], dreamed[:9, 27:36] = 999, 133
    dreamed[:9, 45:54] += UNLIKE // 4
    assert parting_of(frame, codes, frame, codes) == Parting(cells=[], looks=0.0, codes=0.0, pixels=0.0)
    found = parting_of(dreamed, codes, frame, other)
    assert (found.cells, found.is_apart) == ([3], False), "one looks otherwise, one has another code alone"
    assert found.codes == pytest.approx(3 / 81)
    assert found.pixels == pytest.approx(81 / 6400)
    assert parting_of(255 - frame, codes, frame, codes).is_apart


def test_cells_that_look_otherwise_are_those_that_the_worlds_reader_reads_otherwise():
    agent = rig.load_agent("checkpoints/rig-crafter-small", entropy_threshold=0.1, dtype="float32")
    engine, reader = agent._policy.engine, CrafterCells()
    world = make_world("crafter")
    scene, unlike = Scene(world, episode_of(world, "collect_wood/manual", Split.VALIDATION, 3)), []
    keys = ["move_left", "move_up", "move_up", "use"]
    for dreamed in agent.dream(scene.frame, keys, scene.instruction):
        real = scene.act(Action.press(keys[scene.steps]))
        codes = engine.encode_images(np.stack([dreamed, real]))
        drawn = engine.decode_images(codes)
        otherwise = reader.read([dreamed], [scene.facts])[0] != reader.truth(scene.facts)
        assert parting_of(dreamed, codes[0], drawn[1], codes[1]).cells == np.flatnonzero(otherwise).tolist()
        unlike.append(int(otherwise.sum()))
    assert any(unlike)


def test_pages_at_once_decide_as_each_would_alone(made):
    options = {"thought_tokens": 12, "entropy_threshold": 0.0, "temperature": 0.0, "dtype": "float32"}

    def decided(url, number):
        with Tab(url) as tab:
            tab.say("begin", task="place_table/tool", number=number)
            tab.say("step")
            told = tab.until("decision")
            return told["action"], told["thought"]

    with playground(made.agent, **options) as server, ThreadPoolExecutor(3) as threads:
        alone = [decided(server.ws, number) for number in range(3)]
        assert list(threads.map(partial(decided, server.ws), range(3))) == alone


def test_a_page_that_does_not_read_is_left(tmp_path):
    with playground(send_buffer=4096, send_seconds=0.3, hertz=1000, record=str(tmp_path / "s0")) as server:
        tab = Tab(server.ws, max_queue=1)
        tab.say("view", view="record")
        tab.say("record", on=True)
        until_none(server)
        tab.socket.socket.shutdown(socket.SHUT_RDWR)  # the server would wait for it to read the end
        tab.socket.socket.close()
        assert len(Dataset(tmp_path / "s0")) == 1, "what was played until then is kept"


def test_a_session_that_cannot_begin_is_told_and_ends(monkeypatch):
    def failing(_):
        raise RigError("no engine here")

    with playground() as server:
        monkeypatch.setattr("rig.playground.hall.make_world", failing)
        with connect(server.ws) as page:
            assert json.loads(page.recv())["message"] == "no engine here"
            with pytest.raises(ConnectionClosed):
                page.recv()
        until_none(server)
