"""LMDB files are read as LMDB reads them, and what is damaged is named where LMDB would end the process."""

import random
import subprocess
import sys

import lmdb
import pytest

from rig.data.lmdb_reading import FILE_NAME, LmdbFile
from rig.errors import DatasetError


def write(folder, rng, writes=300):
    """Write and delete at random; return what is left."""
    wanted = {}
    with lmdb.open(str(folder), map_size=1 << 26, sync=False) as environment:
        for number in range(writes):
            with environment.begin(write=True) as transaction:
                key = str((number // 50, number % 50 * 32)).encode()
                wanted[key] = rng.randbytes(rng.choice((0, 1, 100, 2000, 2030, 2040, 2048, 4096, 40_000)))
                transaction.put(key, wanted[key])
                if number % 7 == 0:
                    gone = rng.choice(sorted(wanted))
                    transaction.delete(gone)
                    del wanted[gone]
    return wanted


def test_every_value_is_found_by_its_key(tmp_path):
    wanted = write(tmp_path, random.Random(0))
    with LmdbFile(tmp_path) as file:
        assert {key: file.get(key) for key in wanted} == wanted
        for absent in (b"", b"(", b"(0, 31)", b"(9, 0)", b"~"):
            assert file.get(absent) is None


def test_an_empty_database_has_nothing(tmp_path):
    lmdb.open(str(tmp_path)).close()
    with LmdbFile(tmp_path) as file:
        assert file.get(b"__chunk_size__") is None


def test_the_newer_of_two_states_counts_and_a_damaged_one_does_not(tmp_path):
    write(tmp_path, random.Random(1), writes=3)
    path, wanted = tmp_path / FILE_NAME, b"(0, 0)"
    whole = path.read_bytes()
    with LmdbFile(tmp_path) as file:
        newest = file.get(wanted)
    for page in (0, 1):
        spoilt = bytearray(whole)
        spoilt[page * 4096 + 16 : page * 4096 + 24] = b"\0" * 8
        path.write_bytes(spoilt)
        with LmdbFile(tmp_path) as file:
            assert file.get(b"__absent__") is None
            assert page == 0 or file.get(wanted) in (newest, None)


def test_a_download_that_was_cut_short_is_named_where_lmdb_ends_the_process(tmp_path):
    wanted = write(tmp_path, random.Random(2))
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read_all = "import lmdb, sys; t = lmdb.open(sys.argv[1], lock=False, readonly=True).begin(); list(t.cursor())"
    died = subprocess.run([sys.executable, "-c", read_all, tmp_path], capture_output=True, check=False)
    assert died.returncode < 0, "lmdb has learned to look: its own reader will do"
    with (
        LmdbFile(tmp_path) as file,
        pytest.raises(DatasetError, match=r"data.mdb is damaged \(it has \d+ bytes.*fetch"),
    ):
        list(map(file.get, wanted))


@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"\0" * 100_000, b"PK\3\4" * 9000], ids=len)
def test_what_is_no_lmdb_file_is_named(tmp_path, data):
    (tmp_path / FILE_NAME).write_bytes(data)
    with pytest.raises(DatasetError, match=r"data.mdb is damaged"):
        LmdbFile(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"data.mdb cannot be read \(No such file"):
        LmdbFile(tmp_path)


def test_any_flipped_bytes_give_a_value_or_an_error_that_names_the_file(tmp_path):
    rng = random.Random(3)
    wanted = write(tmp_path, rng, writes=40)
    path, outcomes = tmp_path / FILE_NAME, set()
    whole = path.read_bytes()
    for _ in range(150):
        spoilt = bytearray(whole)
        for _ in range(rng.choice((1, 4, 30))):
            page = rng.randrange(len(whole) // 4096)
            spoilt[page * 4096 + rng.randrange(200)] = rng.randrange(256)
        path.write_bytes(spoilt)
        try:
            with LmdbFile(tmp_path) as file:
                outcomes.update("same" if file.get(key) == value else "other" for key, value in wanted.items())
        except DatasetError as error:
            outcomes.add("refused" if str(path) in str(error) else f"not named: {error}")
    assert {"same", "refused"} <= outcomes <= {"same", "other", "refused"}
