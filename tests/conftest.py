"""What every test shares."""

import os
from types import SimpleNamespace

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from hypothesis import settings
from makers import make_agent, make_data, make_tokenizers

torch.set_num_threads(1)  # small tensors: more threads only wait for each other, and tests run side by side
settings.register_profile("rig", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("rig")


_LONGEST = ("test_whole_loop", "test_train_ranks", "test_stages", "test_minetest_tasks", "test_bench", "test_ways")


def pytest_collection_modifyitems(items):
    """Begin with the longest modules: at the end all but one worker would wait for them."""
    place = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: place.get(item.module.__name__, len(place)))


def pytest_runtest_setup(item):
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A real dataset, tokenizers and agent at the debug preset: `made.data`, `made.tokenizers`, `made.agent`."""
    root = tmp_path_factory.mktemp("made")
    data = make_data(root)
    tokenizers = make_tokenizers(root, data)
    return SimpleNamespace(root=root, data=data, tokenizers=tokenizers, agent=make_agent(root, data, tokenizers))
