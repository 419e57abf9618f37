"""The fuzzers of recordings and of datasets, in small; `run(5000)` of each is the full run."""

import fuzz_manifests
import fuzz_recordings


def test_spoilt_recordings_are_refused_or_train():
    outcomes = fuzz_recordings.run(25, seed=1)
    assert sum(outcomes.values()) == 25
    assert set(outcomes) >= {"accepted", "left out"}


def test_spoilt_datasets_are_refused_or_give_the_original_data():
    outcomes = fuzz_manifests.run(60, seed=1)
    assert sum(outcomes.values()) == 60
    assert outcomes["refused"] > 30
