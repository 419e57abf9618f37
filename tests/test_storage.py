"""Files are whole or absent, whatever happens while they are written; provenance names what made them."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rig import __version__, provenance, storage
from rig.errors import RigError


def refuse_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def fail_halfway(path):
    path.write_text("half")
    raise KeyError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "note.txt"
    storage.write_text(path, "old")
    with pytest.raises(KeyError), storage.atomic_file(path) as temporary:
        fail_halfway(temporary)
    assert path.read_text() == "old"
    storage.write_json(path, {"é": 1})
    assert json.loads(path.read_text()) == {"é": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(path, {"x": float("nan")})
    assert names(path.parent) == ["note.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_named_and_takes_nothing_away(tmp_path, monkeypatch, call):
    path = tmp_path / "note.txt"
    storage.write_text(path, "old")
    monkeypatch.setattr(os, call, refuse_space)
    with pytest.raises(RigError, match=r"no space left to write .*note\.txt: [\d.]+ MB are free.*run again"):
        storage.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


def test_a_folder_that_is_not_the_users_is_named_and_takes_nothing_away(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "no")

    path = tmp_path / "note.txt"
    storage.write_text(path, "old")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RigError, match=r"note\.txt: this user may not read or write there .*choose a folder"):
        storage.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["note.txt"]


def test_a_name_that_the_locale_cannot_read_outlives_json(tmp_path):
    name = os.fsdecode(b"r\xe9sum\xe9")
    storage.write_json(tmp_path / "about.json", {"out": name})
    assert storage.read_json(tmp_path / "about.json") == {"out": name}


def test_lines_of_json_outlive_a_kill_in_the_middle_of_one(tmp_path):
    path = tmp_path / "lines"
    assert storage.read_json_lines(path) == []
    storage.append_json_line(path, {"first": "é\n"})
    whole = path.read_bytes()
    for left in (b'{"second": ', b'{"second": 2}', b"x" * 100):
        path.write_bytes(whole + left)
        assert storage.read_json_lines(path) == [{"first": "é\n"}]
        storage.append_json_line(path, {"second": 3})
        assert storage.read_json_lines(path) == [{"first": "é\n"}, {"second": 3}]
    path.write_bytes(b'{"fir')
    storage.append_json_line(path, 1)
    assert path.read_bytes() == b"1\n"
    path.write_bytes(b"1\n{\n2\n")
    with pytest.raises(RigError, match=f"{path}, line 2, is not JSON .*; restore the file, or remove it"):
        storage.read_json_lines(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the full disk is Linux's /dev/full")
def test_a_line_that_finds_no_space_is_named(tmp_path):
    (tmp_path / "lines").symlink_to("/dev/full")
    with pytest.raises(RigError, match=r"no space left to write .*lines: "):
        storage.append_json_line(tmp_path / "lines", 1)


def test_folders_appear_whole_and_replace_only_when_asked(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    with storage.atomic_folder(path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_text("1")
        assert not path.exists()
    with pytest.raises(RigError, match="checkpoint already exists"), storage.atomic_folder(path):
        pass
    with pytest.raises(KeyError), storage.atomic_folder(path, overwrite=True) as folder:
        fail_halfway(folder / "weights")
    assert (path / "inner" / "weights").read_text() == "1"
    with storage.atomic_folder(path, overwrite=True) as folder:
        (folder / "weights").write_text("2")
    assert names(path) == ["weights"]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse_space)
        with pytest.raises(RigError, match="no space left"), storage.atomic_folder(path, overwrite=True) as folder:
            (folder / "weights").write_text("3")
    assert (path / "weights").read_text() == "2"
    assert names(tmp_path) == ["checkpoint"]


def test_an_old_folder_comes_back_where_the_new_one_cannot_be_put(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    with storage.atomic_folder(path) as folder:
        (folder / "weights").write_text("1")
    real = os.replace

    def refuse_the_new(source, target):
        if "new" in str(source):
            raise KeyError(source)
        real(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_new)
    with pytest.raises(KeyError), storage.atomic_folder(path, overwrite=True) as folder:
        (folder / "weights").write_text("2")
    assert (path / "weights").read_text() == "1"
    assert names(tmp_path) == ["checkpoint"]


def test_refusing_what_exists(tmp_path):
    storage.refuse_existing(tmp_path / "nothing")
    storage.refuse_existing(tmp_path)
    (tmp_path / "a").write_text("")
    for path in (tmp_path, tmp_path / "a"):
        with pytest.raises(RigError, match="already exists; use --force"):
            storage.refuse_existing(path, "use --force")


@pytest.mark.parametrize("refuse", [storage.refuse_existing, storage.refuse_unmakeable, storage.refuse_as_page])
def test_what_cannot_be_made_is_refused_before_the_work(tmp_path, refuse, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refuse(tmp_path / "new" / "folders" / "page.html")
    for above in ("file", "link"):
        with pytest.raises(RigError, match=rf"page\.html cannot be written: \S+/{above} is no folder"):
            refuse(tmp_path / above / "x" / "page.html")
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(RigError, match="does not let you write there"):
        refuse(tmp_path / "new" / "page.html")
    assert not (tmp_path / "new").exists()


def test_a_page_is_no_folder_and_may_replace_an_earlier_one(tmp_path):
    with pytest.raises(RigError, match=r"is a folder, and a page is a file; name one, for example .*/trace.html"):
        storage.refuse_as_page(tmp_path)
    (tmp_path / "page.html").write_text("")
    storage.refuse_as_page(tmp_path / "page.html")


def test_hash_is_the_known_one(tmp_path):
    (tmp_path / "a").write_text("abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert storage.sha256_file(tmp_path / "a") == known


def test_a_lock_has_one_holder_and_dies_with_it(tmp_path):
    path = tmp_path / ".lock"
    holder = "import sys, time; from rig.storage import Lock; Lock(sys.argv[1]).acquire(); print(1, flush=True)"
    code = holder.replace("Lock(sys.argv[1])", "lock = Lock(__import__('pathlib').Path(sys.argv[1])); lock")
    process = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(60)", str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"1\n"
    with pytest.raises(RigError, match="another process"):
        storage.Lock(path).acquire()
    process.kill()
    process.communicate()
    with storage.Lock(path), pytest.raises(RigError, match="another process"):
        storage.Lock(path).acquire()
    storage.Lock(path).acquire()


def test_a_command_is_named_without_the_folder_it_lies_in():
    assert provenance.command(["/home/me/.venv/bin/rig", "eval", "--out", "a b"]) == "rig eval --out 'a b'"
    assert provenance.command([str(Path(provenance.__file__).parent / "cli" / "main.py"), "doctor"]) == "rig doctor"


def test_provenance_is_json_and_names_code_machine_and_command():
    found = provenance.provenance()
    assert json.loads(json.dumps(found)) == found
    assert found["version"] == __version__
    assert set(found["commit"]) == {"hash", "dirty"}
    assert set(found["hardware"]) == {"cpu", "cores", "memory", "gpu"}
    assert found["hardware"]["cores"] >= 1
    assert found["date"].endswith("+00:00")
    assert found["command"]


def git(folder, *arguments):
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_the_commit_is_the_packages_own(tmp_path):
    package = tmp_path / "src" / "rig"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "somebody's own")
    unknown = {"hash": "unknown", "dirty": None}
    assert provenance.commit.__wrapped__(package) == unknown  # installed inside somebody's repository
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / "notes.txt").write_text("not of the package")
    clean = provenance.commit.__wrapped__(package)
    assert len(clean["hash"]) == 40
    assert clean["dirty"] is False
    (package / "new.py").write_text("")
    assert provenance.commit.__wrapped__(package) == {**clean, "dirty": True}
    assert provenance.commit.__wrapped__(tmp_path.parent) == unknown


def test_the_gpu_is_named_without_torch(tmp_path, monkeypatch):
    card = tmp_path / "0000:01:00.0"
    card.mkdir()
    (card / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 1\n")
    monkeypatch.setattr(provenance, "_GPU_FOLDER", tmp_path)
    assert provenance.hardware()["gpu"] == "NVIDIA H200"
    code = "import sys, rig.provenance as p; p.provenance(); import rig.data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_folder_is_made_once_and_anew_where_the_making_failed(tmp_path):
    made = []

    def fill(folder):
        made.append(folder)
        (folder / "file").write_text("whole")
        if len(made) == 1:
            raise RigError("the first time it fails")

    folder = tmp_path / "cache" / "key"
    with pytest.raises(RigError, match="the first time"):
        storage.made_once(folder, fill)
    assert not folder.exists()
    for _ in range(2):
        assert storage.made_once(folder, fill) == folder
    assert (folder / "file").read_text() == "whole"
    assert len(made) == 2
