"""What has to come of a folder with a good recording and a spoilt one, whichever importer reads it."""

from functools import cache

import numpy as np

from rig.actions import MINERL
from rig.data import load_report
from rig.dialogue import Layout, PromptFormat, SegmentEncoder, basic_conversation, train_bpe
from rig.errors import RigError
from rig.stages import import_dataset

_PLAIN = PromptFormat(thought=False, dream=False)


@cache
def _encoder():
    tokenizer = train_bpe(["chop a tree", "play freely"], vocabulary_size=320)
    return SegmentEncoder(tokenizer, Layout(read_tokens=4, write_tokens=4))


def write_files(folder, files):
    """Write files by their names within `folder`."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def imported(root, importer, name, skipped, source=None):
    """Return the dataset `name` that is made of what is in `root`, or what refused it."""
    try:
        return import_dataset(source or root / "in", importer, root / name, skipped=skipped)
    except RigError as error:
        return error


def read_all(dataset):
    """Read everything back, and make what training makes of it."""
    dataset.verify()
    report = load_report(dataset.path)
    assert report.steps == dataset.num_steps
    assert (report.episodes, report.episodes_unknown) == (len(dataset), 0)
    for trajectory in dataset:
        for step in trajectory.steps:
            assert len(_encoder().encode(basic_conversation(step, MINERL, _PLAIN))) > 0
            assert np.isfinite(step.reward)


def outcome(root, importer, good, steps, frames, spoilt):
    """Import what is in `root`, strictly and with skip_bad; return what came of the recording that is spoilt.

    Args:
        root: a folder with `in`, which holds two recordings.
        importer: the importer's name.
        good: the id of the trajectory that the first one is.
        steps: how many steps that has.
        frames: what they show.
        spoilt: what every refusal has to name.
    """
    skipped = []
    strict = imported(root, importer, "strict", None)
    tolerant = imported(root, importer, "tolerant", skipped)
    assert not isinstance(tolerant, RigError), f"nothing was imported with skip_bad: {tolerant}"
    read_all(tolerant)
    assert tolerant.ids[0] == good
    assert len(tolerant[good].steps) == steps
    for step, frame in zip(tolerant[good].steps, frames, strict=True):
        assert np.array_equal(step.frame, frame)
    if isinstance(strict, RigError):
        assert skipped, "something was refused, and nothing was left out"
        assert spoilt in str(strict), f"{strict} does not name {spoilt}"
        assert all(spoilt in entry.place for entry in skipped), skipped
        return "left out in part" if len(tolerant) == 2 else "left out"
    assert not skipped
    assert strict.content_hash == tolerant.content_hash
    return "accepted" if len(tolerant) == 2 else "nothing in it"
