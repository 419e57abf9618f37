"""Intervals hold what they promise: known values, coverage in seeded simulations, and errors that name the fix."""

import numpy as np
import pytest

from rig.errors import RigError
from rig.evaluate import (
    Estimate,
    bootstrap_mean,
    data_efficiency,
    data_efficiency_interval,
    data_needed,
    mean_of_cells,
    mean_of_rates,
    paired_difference,
    wilson,
)

QUICK = {"resamples": 400}


def covered(estimate, truth):
    return estimate.low <= truth <= estimate.high


def test_an_estimate_reads_as_a_table_cell():
    assert Estimate(0.6249, 0.554, 0.6901, 200).format() == "0.62 [0.55, 0.69]"
    assert Estimate(18.44, 17.9, 18.96, 50).format(1) == "18.4 [17.9, 19.0]"


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_published_intervals(successes, trials, low, high):
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    mirrored = wilson(trials - successes, trials)
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - high, 1 - low), abs=6e-5)
    assert (found.value, found.n) == (successes / trials, trials)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.93])
def test_wilson_covers_the_truth(rate):
    draws = np.random.default_rng(0).binomial(30, rate, size=1000)
    assert 0.92 <= np.mean([covered(wilson(int(draw), 30), rate) for draw in draws]) <= 0.985


def test_the_bootstrap_covers_the_truth_and_repeats_itself():
    random = np.random.default_rng(1)
    samples = random.exponential(size=(300, 60))
    found = [covered(bootstrap_mean(sample, seed=index, **QUICK), 1.0) for index, sample in enumerate(samples)]
    assert 0.90 <= np.mean(found) <= 0.97
    assert bootstrap_mean(samples[0], seed=3) == bootstrap_mean(samples[0], seed=3)
    assert bootstrap_mean(samples[0], seed=3) != bootstrap_mean(samples[0], seed=4)


def test_clusters_widen_the_interval_to_what_covers():
    random = np.random.default_rng(2)
    episodes = np.repeat(np.arange(25), 8)
    plain, clustered = [], []
    for seed in range(150):
        values = random.normal(size=25)[episodes] + 0.3 * random.normal(size=200)
        plain.append(covered(bootstrap_mean(values, seed=seed, **QUICK), 0))
        clustered.append(covered(bootstrap_mean(values, clusters=episodes.tolist(), seed=seed, **QUICK), 0))
    assert np.mean(plain) < 0.75
    assert np.mean(clustered) > 0.88
    each_alone = bootstrap_mean(values, clusters=range(200), seed=5)
    assert each_alone.low == pytest.approx(bootstrap_mean(values, seed=5).low)


def test_cells_weigh_the_same_however_many_episodes_they_have():
    found = mean_of_cells({"chop/manual": [1.0] * 30, "dig/tool": [0.0, 0.0]})
    assert found == Estimate(0.5, 0.5, 0.5, 32)
    rates = mean_of_rates({"chop/manual": (30, 30), "dig/tool": (0, 2)})
    assert (rates.value, rates.n) == (0.5, 32)
    assert rates.low < 0.4 < 0.6 < rates.high


def test_the_stratified_interval_is_narrower_than_the_pooled_one():
    cells = {"easy": [1.0] * 19 + [0.0], "hard": [0.0] * 19 + [1.0]}
    stratified, pooled = mean_of_cells(cells), bootstrap_mean(np.concatenate(list(cells.values())))
    assert stratified.value == pooled.value == 0.5
    assert stratified.high - stratified.low < 0.75 * (pooled.high - pooled.low)


def test_intervals_over_cells_cover_the_truth():
    random = np.random.default_rng(3)
    truth = {"a": 0.9, "b": 0.7, "c": 0.5, "d": 0.2}
    bootstrap, closed = [], []
    for seed in range(300):
        outcomes = {name: random.random(10) < rate for name, rate in truth.items()}
        counts = {name: (int(values.sum()), 10) for name, values in outcomes.items()}
        bootstrap.append(covered(mean_of_cells(outcomes, seed=seed, **QUICK), 0.575))
        closed.append(covered(mean_of_rates(counts), 0.575))
    assert np.mean(bootstrap) > 0.90
    assert np.mean(closed) > 0.92


@pytest.mark.parametrize("rate", [0.02, 0.99])
def test_mean_of_rates_covers_near_the_ends_where_a_bootstrap_cannot(rate):
    draws = np.random.default_rng(4).binomial(10, rate, size=(1000, 6))
    found = [covered(mean_of_rates({str(i): (int(k), 10) for i, k in enumerate(draw)}), rate) for draw in draws]
    assert np.mean(found) > 0.93
    assert mean_of_rates({"a": (10, 10), "b": (10, 10)}).low < 0.95
    assert mean_of_cells({"a": [1.0] * 10, "b": [1.0] * 10}).low == 1.0


def test_pairing_sees_what_separate_intervals_cannot():
    random = np.random.default_rng(5)
    seeds = random.normal(size=40) * 10
    theirs = {("chop", seed): float(value) for seed, value in enumerate(seeds)}
    ours = {key: value + 1 + float(random.normal()) * 0.5 for key, value in theirs.items()}
    found = paired_difference(ours, dict(reversed(theirs.items())))
    assert found.excludes_zero
    assert found.p_value < 0.01
    assert found.estimate.value == pytest.approx(1, abs=0.3)
    assert found.estimate.n == 40
    apart = [bootstrap_mean(list(side.values())) for side in (ours, theirs)]
    assert apart[0].low < apart[1].high


def test_no_difference_is_claimed_where_there_is_none():
    random = np.random.default_rng(6)
    claims, tests = [], []
    for seed in range(200):
        pairs = random.normal(size=(2, 25))
        found = paired_difference(*(dict(enumerate(side)) for side in pairs), seed=seed, **QUICK)
        claims.append(found.excludes_zero)
        tests.append(found.p_value < 0.05)
    assert np.mean(claims) < 0.12
    assert np.mean(tests) < 0.10
    same = paired_difference({1: 1.0, 2: 0.0}, {1: 1.0, 2: 0.0})
    assert not same.excludes_zero
    assert (same.p_value, same.wins, same.losses) == (1, 0, 0)


def test_the_p_value_knows_how_few_pairs_there_are():
    ours, theirs = dict.fromkeys(range(3), 1.0), dict.fromkeys(range(3), 0.0)
    found = paired_difference(ours, theirs)
    assert found.excludes_zero
    assert found.p_value == pytest.approx(0.25, abs=0.02)
    assert (found.wins, found.losses) == (3, 0)


def test_data_needed_is_log_linear():
    curve = {10.0: 0.2, 100.0: 0.6, 1000.0: 0.5, 10000.0: 0.9}
    assert data_needed(curve, 0.4) == pytest.approx(10**1.5)
    assert data_needed(curve, 0.6) == pytest.approx(100)
    assert data_needed(curve, 0.7) == pytest.approx(1000 * 10**0.5)
    assert data_needed(curve, 0.1) == 10
    assert data_needed(curve, 0.95) is None


def test_data_efficiency_is_a_ratio_a_bound_or_none():
    slow, fast = {0.1: 0.1, 1.0: 0.5}, {0.01: 0.1, 0.1: 0.5, 1.0: 0.8}
    found = data_efficiency(slow, fast)
    assert (found.ratio, found.score, found.note) == (pytest.approx(10), 0.5, "")
    back = data_efficiency(fast, slow)
    assert back.ratio is None
    assert back.other_data is None
    assert "never reached: the other's best score is 0.5, below 0.8" in back.note
    bound = data_efficiency(slow, {0.1: 0.7, 1.0: 0.9})
    assert bound.ratio == pytest.approx(10)
    assert bound.note.startswith("at least")
    upper = data_efficiency({0.1: 0.4}, slow, score=0.3)
    assert upper.ratio < 1
    assert upper.note.startswith("at most")
    assert data_efficiency({0.1: 0.4}, {0.1: 0.4}, score=0.3).ratio is None
    assert data_efficiency({0.1: 0.4}, {0.1: 0.4}).ratio == 1


def test_the_interval_of_data_efficiency_holds_its_value_and_shrinks_with_episodes():
    def played(rates, episodes, random):
        return {amount: dict(enumerate(random.random(episodes) < rate)) for amount, rate in rates.items()}

    slow, fast = {0.1: 0.1, 1.0: 0.5}, {0.01: 0.1, 0.1: 0.5, 1.0: 0.8}
    widths, held = [], 0
    for episodes in (100, 1600):
        for seed in range(20):
            random = np.random.default_rng(seed)
            found = data_efficiency_interval(
                played(slow, episodes, random), played(fast, episodes, random), resamples=300
            )
            held += found.low <= 10 <= found.high
            assert found.low <= found.value <= found.high
        widths.append(np.log(found.high / found.low))
    assert 34 <= held <= 40
    assert widths[1] < widths[0] / 2
    same = {1.0: {0: 0.0, 1: 1.0, 2: 1.0}}
    assert data_efficiency_interval(same, same) == Estimate(1, 1, 1, 3)
    assert data_efficiency_interval(same, {1.0: {0: 0.0, 1: 0.0, 2: 1.0}}, seed=1).low == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data_efficiency_interval({1.0: {1: 0.0}}, {1.0: {2: 0.0}}), "have different episodes"),
        (lambda: wilson(3, 2), "3 successes of 2"),
        (lambda: wilson(0, 0), "0 successes of 0"),
        (lambda: wilson(1, 2, confidence=95), "confidence is 95"),
        (lambda: bootstrap_mean([]), "at least one"),
        (lambda: bootstrap_mean([1.0, np.inf]), "1 of 2 values are not finite"),
        (lambda: bootstrap_mean([1.0, 2.0], clusters=[1]), "1 clusters for 2 values"),
        (lambda: bootstrap_mean([1.0], resamples=0), "resamples is 0"),
        (lambda: mean_of_cells({}), "no cells"),
        (lambda: mean_of_cells({"dig": []}), "'dig'"),
        (lambda: mean_of_rates({}), "no cells"),
        (lambda: mean_of_rates({"dig": (4, 3)}), "no proportion"),
        (lambda: paired_difference({1: 0.0, 2: 1.0}, {1: 0.0, 3: 1.0}), "2 episodes are on one side only"),
        (lambda: paired_difference({1: 0.0}, {1: 1.0}), "at least two seeds"),
        (lambda: data_needed({0.0: 0.1}, 0.1), "above 0"),
        (lambda: data_efficiency({}, {1.0: 0.1}), "at least one amount"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(RigError, match=message):
        call()
