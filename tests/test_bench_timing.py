"""Contenders take turns, the warm-up does not count, and ratios are taken round by round."""

import pytest

from rig.bench.timing import Timing, ratio, side_by_side


def test_every_contender_runs_every_round_and_not_always_first():
    order = []
    found = side_by_side({name: lambda name=name: order.append(name) for name in "ab"}, rounds=4, warmup=1)
    assert sorted(order) == sorted("ab" * 5)
    assert {order[number] for number in range(0, 10, 2)} == {"a", "b"}
    assert {name: len(timing.seconds) for name, timing in found.items()} == {"a": 4, "b": 4}


def test_a_ratio_is_taken_in_each_round():
    ours, other = Timing(seconds=(1.0, 2.0, 4.0)), Timing(seconds=(3.0, 4.0, 16.0))
    assert ratio(ours, other) == pytest.approx({"median": 3.0, "min": 2.0, "max": 4.0})
    assert ours.to_json() == {"min": 1.0, "median": 2.0, "max": 4.0, "seconds": (1.0, 2.0, 4.0)}
