"""A CPU trains in what was measured to be faster; that is kept, and a broken cache costs a measurement, no error."""

import json

import pytest
import torch

from rig.errors import RigError
from rig.model import compute_dtype, decision_dtype, precision
from rig.model.precision import Gains


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache's folder, and a process that knows nothing yet."""
    monkeypatch.setenv("RIG_CACHE", str(tmp_path))
    precision._gains.cache_clear()
    yield tmp_path
    precision._gains.cache_clear()


def pretend(monkeypatch, **ratios):
    """Let the next measurements find these ratios; return the list to which each adds itself."""
    made = []
    found = Gains(**{"training": 1.0, "prefill": 1.0, "token": 1.0, **ratios})
    monkeypatch.setattr(precision, "measure", lambda: made.append(found) or found)
    return made


def test_both_are_really_timed(cache):
    found = precision.gains()
    assert all(0 < value < 1000 for value in vars(found).values())
    (file,) = cache.rglob("*.json")
    assert Gains(**json.loads(file.read_text())) == found


@pytest.mark.parametrize(("training", "dtype"), [(3.5, torch.bfloat16), (1.1, torch.float32), (0.4, torch.float32)])
def test_training_takes_what_is_clearly_faster(cache, monkeypatch, training, dtype):
    pretend(monkeypatch, training=training, prefill=9.0, token=9.0)
    assert compute_dtype("cpu") == dtype
    assert decision_dtype("cpu") == torch.float32


def test_a_machine_is_measured_once(cache, monkeypatch):
    made = pretend(monkeypatch)
    for _ in range(2):
        precision._gains.cache_clear()  # as another process
        assert compute_dtype("cpu") == torch.float32
    assert len(made) == 1
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    precision._gains.cache_clear()
    precision.gains()
    assert len(made) == 2, "with other instructions it is another machine"


@pytest.mark.parametrize(
    "damage", ["", "{", "null", '{"training": 2.0}', '{"training": -1, "prefill": 1, "token": 1}', '{"training": "2"}']
)
def test_a_damaged_file_is_measured_again_and_mended(cache, monkeypatch, damage):
    made = pretend(monkeypatch, training=2.0)
    file = precision.kept_at()
    file.parent.mkdir()
    file.write_text(damage)
    assert precision.gains().training == 2.0
    assert json.loads(file.read_text())["training"] == 2.0
    assert len(made) == 1


@pytest.mark.parametrize("where", ["/proc/rig", "/etc/passwd/rig", None])
def test_where_nothing_can_be_kept_each_process_measures(cache, monkeypatch, where):
    made = pretend(monkeypatch, token=3.0)
    if where is None:
        monkeypatch.delenv("RIG_CACHE")
        monkeypatch.setattr("pathlib.Path.home", homeless)
    else:
        monkeypatch.setenv("RIG_CACHE", where)
    assert [precision.gains().token for _ in range(2)] == [3.0, 3.0]
    assert len(made) == 1, "and once in a process"


def homeless():
    raise RuntimeError("no home")


def test_the_name_of_the_file_needs_a_folder(monkeypatch):
    monkeypatch.delenv("RIG_CACHE", raising=False)
    monkeypatch.setattr("pathlib.Path.home", homeless)
    with pytest.raises(RigError, match="set RIG_CACHE"):
        precision.kept_at()


def test_bfloat16_that_is_emulated_is_not_measured_for_long(monkeypatch):
    asked = []
    monkeypatch.setattr(precision, "_gain", lambda work, rounds: asked.append(work) or 0.02)
    assert precision.measure() == Gains(training=0.02, prefill=0.02, token=0.02)
    assert len(asked) == 1
