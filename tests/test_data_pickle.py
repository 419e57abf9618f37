"""Pickles of plain values come back as they were, of every protocol; of any other not one name is looked up."""

import os
import pickle
import random
from collections import OrderedDict

import numpy as np
import pytest

from rig.data.plain_pickle import load_plain
from rig.errors import DatasetError

PLAIN = {
    "attack": np.arange(32),
    "camera": np.random.default_rng(0).random((32, 2)),
    "few": np.array([1, 2], np.uint8),
    "truths": np.array([True, False]),
    "columns": np.asfortranarray(np.random.default_rng(1).random((3, 4))),
    "big": np.arange(3, dtype=">i4"),
    "none": np.zeros((0, 2)),
    "single": np.array(5),
    "names": np.array(["a", "bc"]),
    "score": np.float32(2.5),
    "count": np.int64(-7),
    "list": [1, 2**70, (3.5, None, True), [], (), {}],
    "set": {1, 2},
    "bytes": b"ab\xff",
    "nothing": b"",
    "text": "a é 木",
    "ordered": OrderedDict(a=1),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_of_numbers_come_back(protocol):
    found = load_plain(pickle.dumps(PLAIN, protocol), "a")
    assert found.keys() == PLAIN.keys()
    for name, wanted in PLAIN.items():
        if isinstance(wanted, np.ndarray):
            assert np.array_equal(found[name], wanted)
            assert found[name].shape == wanted.shape
        else:
            assert found[name] == wanted, name


class Runs:
    def __reduce__(self):
        return os.mkdir, ("ran",)


class Builds:
    def __init__(self):
        self.inner = Runs()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Runs(), "posix.mkdir|nt.mkdir"),
        ([{"a": Builds()}], "test_data_pickle.Builds|copyreg|_reconstructor"),
        (print, r"__builtin__.print|builtins.print"),
        (np.array([Runs(), None], object), "array of 'O8'"),
        (np.array(["2001"], "M8[Y]"), "array of 'M8'"),
        (np.zeros(2, [("a", "i4")]), "array of 'V4'"),
        (np.dtype("i4"), "a type, not a value"),
        (np.ndarray, "a type, not a value"),
        (2 + 3j, r"__builtin__.complex|builtins.complex"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_anything_else_is_refused_by_name_and_nothing_runs(value, named, protocol, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match=rf"part-1, \(0, 32\): it .*({named}|_reconstructor|copy_reg|newobj|opcode)"):
        load_plain(pickle.dumps(value, protocol), "part-1, (0, 32)")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"cos\nmkdir\n(S'ran'\ntR.",
        b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x0f.",
        b"\x8e" + b"\xff" * 8 + b".",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I999999999999\ntS'b'\ntR.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"(" * 100_000 + b"t" * 100_000 + b".",
        b"K\x01" + b"\x85" * 100_000 + b".",
        b"}" + b"(0(d" * 50,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_no_pickle_takes_more_room_or_time_than_it_has_bytes(data):
    with pytest.raises(DatasetError, match=r"^a\b"):
        load_plain(data, "a")


def test_a_memo_of_billions_takes_no_room():
    assert load_plain(b"}r\xff\xff\xff\x7f.", "a") == {}


def test_values_that_are_shared_without_bound_are_refused():
    value = [0]
    for _ in range(40):
        value = [value, value]
    with pytest.raises(DatasetError, match="more than 2000000 values"):
        load_plain(pickle.dumps(value), "a")


def test_spoilt_pickles_give_plain_values_or_an_error_with_their_place():
    rng, data, outcomes = random.Random(0), pickle.dumps(PLAIN), set()
    for _ in range(2000):
        spoilt = bytearray(data)
        for _ in range(rng.choice((1, 1, 3))):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        try:
            load_plain(bytes(spoilt), "a place")
            outcomes.add("read")
        except DatasetError as error:
            outcomes.add("refused" if str(error).startswith("a place") else f"not named: {error}")
    assert outcomes == {"read", "refused"}
