"""Processes beside each other: the order of work, mistakes, deaths, interrupts, and engines that must not be left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from minetest_makers import family, is_alive, make_env, name_of, needs_engine, wait_for_the_end_of

from rig.errors import RigError, UnknownNameError
from rig.workers import Workers

# Processes of a shell's background ignore interrupts, and those that they start do, too.
A_CALLER = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, "tests")
from test_workers import an_engine, tell_and_wait
from rig.workers import Workers
if __name__ == "__main__":
    with Workers(an_engine, 2) as workers:
        list(workers.map(tell_and_wait, range(2)))
"""


@contextmanager
def a_list():
    yield []


@contextmanager
def an_engine():
    env = make_env()
    try:
        yield env
    finally:
        env.close()


def tell_and_wait(env, number):
    env.reset(seed=number)
    os.write(1, f"{' '.join(map(str, [os.getpid(), *family(env).values()]))}\n".encode())
    while True:
        env.step({})


def note(state, piece):
    """Take longest for the first piece; tell the process, and what it did before."""
    time.sleep(0.2 if piece == 0 else 0.01)
    state.append(piece)
    return piece, os.getpid(), list(state)


def stumble(state, piece):
    if piece == 2:
        time.sleep(0.3)
        raise UnknownNameError("two is no name")
    if piece == 3:
        raise OSError("three is no file")
    if piece == 5:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return piece


def named(piece):
    return f"piece {piece}"


@pytest.mark.parametrize("count", [1, 3])
def test_what_comes_is_in_the_order_of_the_work_and_each_process_keeps_its_state(count):
    with Workers(a_list, count) as workers:
        found = list(workers.map(note, range(20)))
        again = list(workers.map(note, range(20, 22)))
    assert [piece for piece, *_ in found + again] == list(range(22))
    processes = {process for _, process, _ in found}
    assert len(processes) == count
    assert (os.getpid() in processes) == (count == 1)
    for process in processes:
        assert max((noted for _, where, noted in found if where == process), key=len) == [
            piece for piece, where, _ in found if where == process
        ]
    assert multiprocessing.active_children() == []


def test_a_users_mistake_is_told_as_it_is_and_any_other_with_its_place():
    with Workers(a_list, 2) as workers, pytest.raises(UnknownNameError, match=r"^two is no name$"):
        list(workers.map(stumble, [0, 2, 4]))
    with Workers(a_list, 2) as workers, pytest.raises(OSError, match="three is no file") as caught:
        list(workers.map(stumble, [0, 3]))
    assert "in stumble" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


def test_a_death_is_told_with_its_work_and_what_was_done_beside_it_is_not_lost():
    found = []
    with Workers(a_list, 2) as workers, pytest.raises(RigError, match=r"had piece 5 was killed by SIGKILL.*memory"):
        found.extend(workers.map(stumble, [0, 1, 5, 4, 6, 7], named))
    assert found == [0, 1, 4, 6, 7]
    assert multiprocessing.active_children() == []


def test_none_is_no_number_of_workers():
    with pytest.raises(RigError, match="0 workers: at least 1"):
        Workers(a_list, 0)


@needs_engine
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_processes_and_their_engines_end_with_their_caller(tmp_path, end):
    script = tmp_path / "caller.py"
    script.write_text(A_CALLER)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    here = Path(__file__).parents[1]
    caller = subprocess.Popen([sys.executable, str(script)], **pipes, text=True, cwd=here, start_new_session=True)
    told = [list(map(int, caller.stdout.readline().split())) for _ in range(2)]
    processes = [process for some in told for process in some]
    assert len(set(processes)) == 8
    assert all(map(is_alive, processes))
    (os.killpg if end == signal.SIGINT else os.kill)(caller.pid, end)  # Ctrl-C goes to all of them
    caller.wait(20)
    assert wait_for_the_end_of(processes) == []


def kill_with_engine(process, keepers):
    """Wait until a process has an engine, note its keeper, and kill the process."""
    while not keepers:
        children = map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
        keepers.extend(child for child in children if name_of(child) == "keeper")
        time.sleep(0.05)
    os.kill(process, signal.SIGKILL)


@needs_engine
def test_a_killed_process_leaves_no_engine():
    with Workers(an_engine, 2) as workers:
        pids = [worker.process.pid for worker in workers._workers]
        keepers = []
        killer = threading.Thread(target=kill_with_engine, args=(pids[0], keepers))
        killer.start()
        with pytest.raises(RigError, match="was killed by SIGKILL"):
            list(workers.map(tell_and_wait, range(2)))
    assert wait_for_the_end_of([*pids, *keepers]) == []


def count_up(state, piece):
    """Give so many numbers, one after the other; 13 is none."""
    state.append(piece)
    for number in range(piece):
        if number == 13:
            raise RigError("13 is no number")
        yield piece, number, os.getpid(), len(state)


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_job_gives_one_by_one_is_handed_out_as_it_comes(count):
    with Workers(a_list, count) as workers:
        found = list(workers.each(count_up, [5, 0, 3, 4]))
    assert sorted((piece, number) for piece, number, *_ in found) == [
        (piece, number) for piece in (3, 4, 5) for number in range(piece)
    ]
    for piece in (3, 4, 5):
        assert [number for held, number, *_ in found if held == piece] == list(range(piece)), "a job's own order stays"
    assert (os.getpid() in {pid for *_, pid, _ in found}) == (count == 1)


def die_at_two(state, piece):
    for number in range(4):
        if piece and number == 2:
            time.sleep(0.2)  # what was given before is under way
            os.kill(os.getpid(), signal.SIGKILL)
        yield piece, number


def given(job, pieces):
    """What two processes gave, and the error that ended it."""
    found = []
    try:
        with Workers(a_list, 2) as workers:
            found.extend(iter(workers.each(job, pieces)))
    except RigError as error:
        return found, str(error)
    raise AssertionError("it was to end with an error")


def test_what_was_given_before_a_mistake_or_a_death_is_handed_out():
    found, told = given(count_up, [20])
    assert [number for _, number, *_ in found] == list(range(13))
    assert told == "13 is no number"
    found, told = given(die_at_two, [1, 0])
    assert {(1, 0), (1, 1)} <= set(found)
    assert "the process that had 1 was killed by SIGKILL" in told
