"""Values at the edge: what is refused, and what the message says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec
import pytest

from rig.errors import DatasetError, RigError
from rig.validation import Meta, check_fields, fitting, load_json, parse_as, parse_json, validated

FIX = "restore it from a copy"


@dataclass(frozen=True, kw_only=True)
class Inner:
    names: tuple[str, ...] = ()
    share: Annotated[float, Meta(ge=0, le=1)] = 0.5


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: Annotated[int, Meta(ge=1, le=8)]
    size: tuple[int, int] = (2, 3)
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    perhaps: Inner | None = None

    def __post_init__(self) -> None:
        if self.count == 7:
            raise RigError("seven is taken")


def test_a_value_that_fits_becomes_the_dataclass():
    given = {"count": 2, "size": [4, 5], "inner": {"share": 1}, "many": [{"names": ["a"]}], "perhaps": None}
    assert validated(given, Outer, "x.json", FIX) == Outer(
        count=2, size=(4, 5), inner=Inner(share=1.0), many=(Inner(names=("a",)),)
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "count"),
        ({"count": 0}, ">= 1"),
        ({"count": 9}, "<= 8"),
        ({"count": 10**400}, "<= 8"),
        ({"count": 1.0}, "float"),
        ({"count": True}, "bool"),
        ({"count": "1"}, "str"),
        ({"count": None}, "null"),
        ({"count": 7}, "seven is taken"),
        ({"count": 1, "size": [1]}, "length 2"),
        ({"count": 1, "inner": []}, "array"),
        ({"count": 1, "inner": {"share": float("nan")}}, "inner.share is nan"),
        ({"count": 1, "inner": {"share": float("-inf")}}, "inner.share is -inf"),
        ({"count": 1, "cuont": 1}, "unknown field 'cuont'. Did you mean 'count'?"),
        ({"count": 1, "inner": {"nmaes": []}}, "unknown field 'nmaes'"),
        ({"count": 1, "many": [{}, {"nmaes": []}]}, "unknown field 'nmaes'"),
        ({"count": 1, "perhaps": {"nmaes": []}}, "unknown field 'nmaes'"),
        ([], "array"),
        (3, "int"),
    ],
)
def test_a_value_that_does_not_fit_is_named(given: Any, says: str):
    with pytest.raises(DatasetError, match=r"x\.json") as error:
        validated(given, Outer, "x.json", FIX, DatasetError)
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        (0, Annotated[int, Meta(ge=1)], "x.y is 0; expected `int` >= 1"),
        (10**5000, Annotated[int, Meta(le=1)], "x.y is a int that cannot be shown; expected `int` <= 1"),
        (10**5000, float, "out of range"),
        ("flatt", Literal["flat", "v7"], "x.y is 'flatt'; give one of 'flat', 'v7'. Did you mean 'flat'?"),
        (10**5000, Literal[1, 3], "give one of 1, 3"),
        ([1, 0], tuple[Annotated[int, Meta(ge=1)], ...], "expected `int` >= 1 at `the value[1]`"),
        (math.nan, float, "x.y: the value is nan"),
        ("a" * 1000, int, "...aaa"),
    ],
    ids=["range", "many digits", "no float", "choice", "choice of numbers", "within", "nan", "long"],
)
def test_one_value_is_told_with_what_belongs_there(value: Any, kind: Any, says: str):
    with pytest.raises(DatasetError) as error:
        fitting(value, kind, "x.y", DatasetError)
    assert says in str(error.value)
    assert len(str(error.value)) < 300
    assert fitting(3, float, "x.y") == 3.0


def test_a_dataclass_checks_its_own_fields():
    @dataclass(frozen=True)
    class Sides:
        width: Annotated[int, Meta(ge=1)] = 1
        inner: Inner = field(default_factory=Inner)

        def __post_init__(self) -> None:
            check_fields(self)

    Sides(width=2)
    with pytest.raises(RigError, match=r"Sides.width is 0; expected `int` >= 1"):
        Sides(width=0)
    with pytest.raises(RigError, match=r"Sides.inner is 3"):
        Sides(inner=3)


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "1e999", "[" * 100_000, "9" * 5_000, b"\xff\xfe", '{"a": 1} {}', '"\\ud800"']
)
def test_what_is_not_strict_json_is_refused(text: str | bytes):
    with pytest.raises(RigError, match=r"x\.json is not JSON .*; restore it from a copy"):
        parse_json(text, "x.json", FIX)


def test_a_file_holds_one_object(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(RigError, match="cannot be read"):
        load_json(path, FIX)
    path.write_text("[1]")
    with pytest.raises(RigError, match="holds a list, not an object"):
        load_json(path, FIX)
    path.write_text('{"wörld": 1}', encoding="utf-8")
    assert load_json(path, FIX) == {"wörld": 1}


class Told(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    names: Annotated[list[str], Meta(max_length=3)]


@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_messages_are_read_as_what_they_have_to_be(form):
    encode = {"json": msgspec.json.encode, "msgpack": msgspec.msgpack.encode}[form]
    assert parse_as(encode({"names": ["a"]}), Told, form, "the message", FIX).names == ["a"]
    for value, wrong in (
        ({"names": ["a"] * 4}, r"of length <= 3 - at `names`"),
        ({"names": [1]}, r"Expected `str`, got `int` - at `names\[0\]`"),
        ({"names": [], "more": 1}, "unknown field `more`"),
        ([], "Expected `object`, got `array`"),
    ):
        with pytest.raises(DatasetError, match=f"the message cannot be read .*{wrong}.*; {FIX}"):
            parse_as(encode(value), Told, form, "the message", FIX, DatasetError)
    with pytest.raises(RigError, match="the message cannot be read"):
        parse_as(b"\xc1[" * 100_000, Told, form, "the message", FIX)


def test_a_type_that_cannot_be_read_is_our_own_mistake():
    with pytest.raises(TypeError):
        parse_as(b"1", str | bytes, "json", "the message", FIX)
