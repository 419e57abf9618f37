"""Texts of the page: hostile ones cost linear time, take bounded room, and are told to be cut."""

import re
import time
from dataclasses import replace
from itertools import count, pairwise

import fuzz_page
import numpy as np
import pytest

from rig.errors import RigError
from rig.records import fake_step, fake_trajectory
from rig.viewer.page import script_json
from rig.viewer.payload import build_payload
from rig.viewer.text import CLAIM_LIMIT, claims, clauses, label, passage, text_limit


def plain_clauses(text):
    """What `clauses` promises, said plainly: number by number, the first place behind a sentence, or any."""
    starts, position = [0], 0
    for number in count(1):
        firm = re.compile(rf"(?:^|(?<=[.!?;:]\s)|(?<=\n)){number}\. ")
        loose = re.compile(rf"(?<=\s){number}\. ")
        found = firm.search(text, position) or loose.search(text, position)
        if found is None:
            break
        starts.append(found.start())
        position = found.end()
    parts = (text[start:end].strip() for start, end in pairwise([*starts, len(text)]))
    return [part for part in parts if part]


def test_clauses_are_those_of_the_plain_definition():
    random = np.random.default_rng(0)
    pieces = ["1. ", "2. ", "3. ", "4. ", "12. ", "01. ", "A tree", " ", ". ", "\n", "I have 3", "!\u00a0", "x", "\t"]
    for _ in range(2000):
        text = "".join(random.choice(pieces, size=random.integers(0, 16))).strip()
        assert clauses(text) == plain_clauses(text), repr(text)


def seconds(call):
    def once():
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return min(once() for _ in range(3))


def numbered(length, end="."):
    return " ".join(f"{number}. a{end}" for number in range(1, length + 1))


def payload_of(*steps):
    return build_payload([fake_trajectory(size=4).with_steps(steps)], title="trace", meta={})


def claiming(length):
    made = [{"text": f"{number}. a.", "verdict": True} for number in range(1, length + 1)]
    return replace(fake_step(size=4), thought=numbered(length), privileged={"claims": made})


@pytest.mark.parametrize(
    "work",
    [
        lambda size: clauses(numbered(size)),
        lambda size: clauses(numbered(size, end="")),
        lambda size: clauses("1. " * size),
        lambda size: clauses("1" * size),
        lambda size: payload_of(claiming(size)),
        lambda size: payload_of(*(fake_step(index=index, size=4) for index in range(size // 40))),
        lambda size: payload_of(
            replace(fake_step(size=4, num_dreams=1), dreams=fake_step(num_dreams=1).dreams * (size // 40))
        ),
    ],
    ids=["clauses", "clauses without sentences", "ones", "a number", "claims", "steps", "dreams"],
)
def test_ten_times_as_much_takes_no_more_than_some_ten_times_as_long(work):
    assert seconds(lambda: work(15_000)) < 40 * seconds(lambda: work(1_500)) + 0.05


def test_an_endless_word_and_endless_clauses_take_bounded_room_and_are_told_to_be_cut():
    word = payload_of(replace(fake_step(size=4), thought="x" * 1_000_000, instruction="y" * 1_000_000))
    step = word["episodes"][0]["steps"][0]
    assert step["thought"] == {"clauses": ["x" * 100_000], "left": 900_000}
    assert step["instruction"]["left"] == 900_000
    many = payload_of(claiming(125_000))
    assert len(script_json(many)) < 1_000_000
    step = many["episodes"][0]["steps"][0]
    assert step["thought"]["left"] == len(numbered(125_000)) - 100_000
    assert step["thought"]["clauses"][:2] == ["1. a.", "2. a."]
    assert len(step["claims"]["list"]) + step["claims"]["left"] == 125_000
    names = build_payload(
        [replace(fake_trajectory(size=4), task="t" * 1_000_000, id="i" * 1_000_000)], title="T" * 1_000_000, meta={}
    )
    assert len(script_json(names)) < 20_000


def test_the_more_texts_the_less_of_each():
    assert [text_limit(number) for number in (0, 1, 200, 2_000, 1_000_000)] == [100_000] * 3 + [10_000, 2_000]
    assert passage("1. Go. 2. Stay.", 6) == {"clauses": ["1. Go."], "left": 9}
    assert passage(None, 6) == {"clauses": [], "left": 0}
    assert (label("x" * 160), len(label("x" * 161)), label("x" * 161)[-1]) == ("x" * 160, 160, "…")


def test_claims_find_the_clause_that_makes_them():
    parts = ["1. A tree is near.", "2. A tree is far.", "3. " + "long" * 1000 + " tall."]
    texts = ["A tree", "A tree", "near", "far", "tall", "", "A tree"]
    found = claims([{"text": text, "verdict": True} for text in texts], parts, "step 0")
    assert [claim["clause"] for claim in found["list"]] == [0, 1, 0, 1, None, None, None]
    assert found["left"] == 0
    much = claims([{"text": "x" * 5_000, "verdict": None}] * (CLAIM_LIMIT + 7), parts, "step 0")
    assert (len(much["list"]), much["left"], len(much["list"][0]["text"])) == (CLAIM_LIMIT, 7, 1_200)
    with pytest.raises(RigError, match=r"step 0: claims are 'near', not a list"):
        claims("near", parts, "step 0")


def test_fuzzed_texts_and_facts_are_shown_or_refused():
    outcomes = fuzz_page.run(150, seed=0)
    assert outcomes["accepted"] > 20
    assert outcomes["refused"] > 20
