"""What the machine gives, by a container's limits too, and what it refuses, told with the path and the fix."""

import errno
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rig import storage
from rig.errors import RigError
from rig.machine import cache_root, note_path, refusal, usable_cores, usable_memory

V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:27 {root} /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "32 23 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
)
MB = 2**20
PLAIN = usable_cores(Path("/nowhere")), usable_memory(Path("/nowhere"))


def machine(folder, mounts, group, files, root="/"):
    """Write the files in which a kernel tells of control groups below `folder`, and return it."""
    for name, text in {"proc/self/mountinfo": mounts.format(root=root), "proc/self/cgroup": group, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("mounts", "group", "root", "files", "memory", "cores"),
    [
        (V2, "0::/\n", "/", {"memory.max": f"{700 * MB}\n", "cpu.max": "100000 100000\n"}, 700 * MB, 1),
        (
            V2,
            "0::/\n",
            "/",
            {"memory.max": "max\n", "memory.high": f"{9 * MB}\n", "cpu.max": "max 100000\n"},
            9 * MB,
            0,
        ),
        (V2, "0::/a/b\n", "/", {"a/memory.max": f"{5 * MB}\n", "a/b/memory.max": f"{7 * MB}\n"}, 5 * MB, 0),
        (V2, "0::/a/b\n", "/", {"a/memory.max": f"{9 * MB}\n", "a/b/memory.max": f"{7 * MB}\n"}, 7 * MB, 0),
        (V2, "0::/docker/x\n", "/docker/x", {"memory.max": f"{5 * MB}\n", "cpu.max": "50000 100000\n"}, 5 * MB, 1),
        (V2, "0::/../../y\n", "/", {"memory.max": f"{5 * MB}\n"}, 5 * MB, 0),
        (
            V1,
            "9:memory:/docker/x\n3:cpuset:/\n2:cpu,cpuacct:/docker/x\n0::/\n",
            "/docker/x",
            {
                "memory/memory.limit_in_bytes": f"{700 * MB}\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "120000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            700 * MB,
            1,
        ),
        (
            V1,
            "9:memory:/\n2:cpu,cpuacct:/\n",
            "/",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0,
            0,
        ),
        ("nonsense\n- - -\n", "0::/\n", "/", {"memory.max": "5\n"}, 0, 0),
    ],
    ids=["v2", "v2 high", "v2 parent", "v2 own", "v2 shown whole", "v2 outside", "v1", "v1 without", "nonsense"],
)
def test_a_containers_limits_count(tmp_path, mounts, group, root, files, memory, cores):
    root = machine(tmp_path, mounts, group, {f"sys/fs/cgroup/{name}": text for name, text in files.items()}, root)
    assert usable_memory(root) == (memory or PLAIN[1])
    assert usable_cores(root) == (cores or PLAIN[0])


def test_a_folder_of_groups_may_have_a_blank_in_its_name(tmp_path):
    mounts = r"30 23 0:26 / /my\040groups rw - cgroup2 cgroup2 rw" + "\n"
    assert usable_memory(machine(tmp_path, mounts, "0::/\n", {"my groups/memory.max": "4096\n"})) == 4096


def test_cores_are_those_that_the_process_may_run_on():
    command = [sys.executable, "-c", "import rig.machine as m; print(m.usable_cores())"]
    one = min(os.sched_getaffinity(0))
    done = subprocess.run(command, capture_output=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {one}))
    assert done.stdout == b"1\n"


def within_a_group(controller, limits, code):
    """Return what Python code prints as a member of a real control group of version 1 with limits."""
    group = Path(f"/sys/fs/cgroup/{controller}/rig-test-{os.getpid()}")
    try:
        group.mkdir()
        for name, value in limits.items():
            (group / name).write_text(str(value))
    except OSError:
        pytest.skip("no control groups of version 1, or not ours to make")
    script = 'echo $$ > "$1/cgroup.procs"; unset OMP_NUM_THREADS; exec "$2" -c "$3"'
    try:
        command = ["sh", "-c", script, "sh", str(group), sys.executable, code]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    finally:
        group.rmdir()


def test_a_real_group_of_limited_memory_is_seen_from_within():
    code = "import rig.machine as m; print(int(m.usable_memory()))"
    assert within_a_group("memory", {"memory.limit_in_bytes": 700 * MB}, code) == str(700 * MB)


@pytest.mark.skipif(PLAIN[0] < 2, reason="one core cannot be made less")
def test_a_command_starts_as_many_threads_as_a_real_quota_allows():
    limits = {"cpu.cfs_period_us": 100000, "cpu.cfs_quota_us": 100000}
    code = "import os; from rig.cli.main import _keep_to_quota as k; k(); print(os.environ.get('OMP_NUM_THREADS'))"
    assert within_a_group("cpu", limits, code) == "1"
    assert within_a_group("cpu", {}, code) == "None", "libraries decide where nothing is less than the affinity"


def test_memory_is_told_where_nothing_limits_it():
    assert 100 * MB < usable_memory() < math.inf


# Refusals


def a_file_for_a_folder(folder):
    (folder / "file").write_text("")
    return folder / "file" / "deep" / "note"


def a_folder_for_a_file(folder):
    (folder / "note" / "within").mkdir(parents=True)
    return folder / "note"


def a_long_name(folder):
    return folder / ("n" * 300)


def a_circle(folder):
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a" / "note"


def no_place(folder):
    return Path("/proc/no/such")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (a_file_for_a_folder, r"file.*a file stands where a folder is needed.*; choose another path, or move"),
        (a_folder_for_a_file, r"note: a folder stands where a file is needed.*; choose another path, or move"),
        (a_long_name, r"nnn: the name is longer than the file system allows.*; choose a shorter one"),
        (a_circle, r"(what stands there is no folder|a link there leads back to itself) .*; choose another"),
        (no_place, r"/proc/no.*: there is no such file or folder .*; check the path"),
    ],
)
def test_what_the_system_refuses_to_write_is_named_with_its_fix(tmp_path, place, message):
    path = place(tmp_path)
    for write in (lambda: storage.write_text(path, "new"), lambda: storage.append_json_line(path, 1)):
        with pytest.raises(RigError, match=message):
            write()
    assert not [name for name in tmp_path.rglob("*") if name.name.endswith(storage.TEMPORARY)]


def test_a_disk_that_is_mounted_for_reading_is_named(tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", tmp_path], check=False).returncode:
        pytest.skip("this user may not mount a disk")
    try:
        with pytest.raises(RigError, match=r"its file system is read-only .*; choose a folder on another one"):
            storage.write_text(tmp_path / "note", "new")
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)


def test_what_an_error_adds_to_the_systems_words_is_kept():
    told = refusal(FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"))
    assert "(No usable temporary directory found in ['/tmp'])" in str(told)


def test_too_many_open_files_are_named_with_the_command():
    assert "ulimit -n" in str(refusal(OSError(errno.EMFILE, "Too many open files")))


def test_what_is_in_the_cache_is_mended_by_another_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path / "cache"))
    told = refusal(PermissionError(errno.EACCES, "no", str(tmp_path / "cache" / "worlds")))
    assert str(told).endswith("set RIG_CACHE to a folder that you can write to")


def test_an_error_of_the_program_is_no_refusal():
    assert refusal(KeyError("Permission")) is None
    assert refusal(ConnectionResetError(errno.ECONNRESET, "reset")) is None
    handled = KeyError("another")
    handled.__context__ = PermissionError(errno.EACCES, "no", "elsewhere")
    assert refusal(handled) is None


def test_the_cache_is_an_absolute_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RIG_CACHE", "my cache")
    assert cache_root() == tmp_path / "my cache"


def test_without_a_home_the_cache_says_what_to_set(monkeypatch):
    monkeypatch.delenv("RIG_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("~no-such-user").expanduser())
    with pytest.raises(RigError, match=r"no home folder.*set RIG_CACHE"):
        cache_root()


def test_what_was_found_out_is_kept_by_all_that_it_hangs_on_under_names_that_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    assert note_path("compile", "2.9", None, 3) == tmp_path / "compile" / "234b33149ec37ec2"
    assert note_path("precision", "2.9", suffix=".json").suffix == ".json"
    found = {note_path(kind, *depends) for kind in ("a", "b") for depends in ((1, 2), (1, 3), (12,), ("1", 2), ())}
    assert len(found) == 10
