"""The steps of an episode that is being played are kept out of memory, and come back as they were."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest
from test_data_lazy import Peak
from test_data_roundtrip import assert_same, info_for, write

from rig.agents import TeacherActor
from rig.data import Dataset
from rig.envs.crafter.world import CrafterWorld
from rig.envs.rollout import Episode, play
from rig.envs.spool import StepSpool
from rig.errors import RigError
from rig.records import Lineage, fake_trajectory
from rig.teachers import RandomTeacher

SIZE = 128
FRAME_BYTES = SIZE * SIZE * 3


def spooled(steps, **settings):
    spool = StepSpool(**settings)
    for step in steps:
        spool.append(step)
    return spool


@pytest.mark.parametrize("in_memory", [0, 1 << 30])
def test_steps_come_back_bit_for_bit_from_memory_and_from_a_file(in_memory):
    trajectory = fake_trajectory(0, length=5, num_dreams=2)
    spool = spooled(trajectory.steps, in_memory=in_memory)
    for found in (spool, pickle.loads(pickle.dumps(spool)), spool[:]):
        assert_same(trajectory.with_steps(found), trajectory)
        assert_same(found[1:4][0], trajectory.steps[1])
    copy = pickle.loads(pickle.dumps(spool))
    copy.append(replace(copy[0], index=5))
    assert (len(copy), len(spool), copy[-1].index, copy[4].index) == (6, 5, 5, 4)


def test_a_frame_that_two_steps_show_is_kept_once_and_read_once():
    steps = fake_trajectory(0, length=40, size=SIZE).steps
    spool = spooled(steps)
    assert len(pickle.dumps(spool)) < 42.5 * FRAME_BYTES
    one, two = spool[3], spool[4]
    assert np.shares_memory(one.next_frame, two.frame)
    assert not one.frame.flags.writeable
    still = spooled([replace(step, frame=steps[0].frame, next_frame=steps[0].frame.copy()) for step in steps])
    assert len(pickle.dumps(still)) < 2 * FRAME_BYTES, "a world that does not move"


def test_a_buffer_that_a_world_uses_again_does_not_change_what_was():
    step = fake_trajectory(0, length=1).steps[0]
    frame, first = step.frame, step.frame.copy()
    spool = spooled([step])
    frame[:] = 0
    spool.append(replace(step, index=1))
    assert np.array_equal(spool[0].frame, first)
    assert not spool[1].frame.any()


def test_memory_is_bounded_whatever_the_length():
    plain = fake_trajectory(0, length=1, size=SIZE).steps[0]
    random = np.random.default_rng(0)
    with Peak() as peak:
        spool = StepSpool(in_memory=4 * FRAME_BYTES)
        for index in range(120):
            frame = random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            spool.append(replace(plain, index=index, frame=frame, next_frame=frame))
        assert [step.index for step in spool] == list(range(120))
    assert peak.bytes < 24 * FRAME_BYTES


class Watched(CrafterWorld):
    """Crafter that knows how many of the frames that it gave are still held by somebody."""

    def __init__(self):
        super().__init__()
        self.given, self.most_held = [], 0

    def act(self, action):
        result = super().act(action)
        self.given.append(ref(result[0]))
        self.most_held = max(self.most_held, sum(frame() is not None for frame in self.given))
        return result


def test_few_frames_of_an_episode_are_held_while_it_is_played():
    world, lineage = Watched(), Lineage(stage="test", actor="random")
    episodes = [Episode(task="collect_iron", setting="manual", seed=0)]
    [played] = play(lambda: world, TeacherActor(RandomTeacher()), episodes, most_steps=60, lineage=lineage)
    assert len(played.trajectory.steps) == len(world.given) == 60
    assert world.most_held <= 4
    assert_same(played.trajectory.steps[7].next_frame, played.trajectory.steps[8].frame)


KILLED = """
import sys
import numpy as np
from dataclasses import replace
from rig.envs.spool import StepSpool
from rig.records import fake_step
spool = StepSpool(in_memory=1000)
for index in range(5):
    spool.append(fake_step(index=index))
print(len(spool), flush=True)
sys.stdin.read()
"""


def test_nothing_is_left_of_the_file_of_a_process_that_is_killed(tmp_path):
    command = [sys.executable, "-c", KILLED]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"5\n"
        opened = {os.readlink(f"/proc/{process.pid}/fd/{number}") for number in os.listdir(f"/proc/{process.pid}/fd")}
        assert any(path.startswith(str(tmp_path)) for path in opened), "it does keep a file"
        assert not list(tmp_path.iterdir())
        process.send_signal(signal.SIGKILL)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_told_with_the_fix(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    spool = StepSpool(in_memory=1000)
    steps = fake_trajectory(0, length=3, size=SIZE).steps
    spool.append(steps[0])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FRAME_BYTES, limits[1]))
    try:
        with pytest.raises(RigError, match=r"cannot be kept in .* \(File too large\).*TMPDIR"):
            spool.append(steps[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_same(spool[0], steps[0])


def test_open_files_are_closed_with_the_last_who_holds_the_episode():
    spool = spooled(fake_trajectory(0, length=3).steps, in_memory=0)
    part = spool[:2]
    before = len(os.listdir("/proc/self/fd"))
    del spool
    assert part[0].index == 0
    del part
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_an_episode_from_a_spool_is_the_same_dataset(tmp_path):
    trajectory = fake_trajectory(0, length=6, size=32)
    kept = trajectory.with_steps(spooled(trajectory.steps, in_memory=0))
    one, two = (write(tmp_path / name, [found], info_for(size=32)) for name, found in (("a", trajectory), ("b", kept)))
    assert Dataset(one).content_hash == Dataset(two).content_hash
