"""Annotators that dawdle, fail, give up or answer nonsense, over work that may be spoilt: what comes out is as it was
asked, each piece whole, and what is missing is named.

PYTHONPATH=src:tests python -c "import fuzz_annotators; print(fuzz_annotators.run(3000, seed=0))"
"""

import random
import time
from dataclasses import replace

from data_mutations import VALUES, outcomes_of

from rig.annotators import Asked, Evidence, Failure, Reasoner, answered, seen_in
from rig.dialogue import is_speakable
from rig.errors import AnnotationError, DatasetError, RigError
from rig.records import fake_step

STEP = fake_step(size=2)


class GaveUp(Exception):
    """What an annotator raises that is broken."""


class Moody(Reasoner[Evidence]):
    """Answers each instruction as it is told to."""

    name = "moody-1"

    def __init__(self, moods, batch_size, concurrency):
        super().__init__()
        self.moods, self.batch_size, self.concurrency = moods, batch_size, concurrency

    def annotate(self, batch):
        time.sleep(random.random() / 5000)
        answers = []
        for one in batch:
            mood = self.moods[one.instruction]
            if isinstance(mood, Exception):
                raise mood
            answers += [] if mood is None else [mood]
        return answers


def is_answer(mood):
    return isinstance(mood, str) and is_speakable(mood) and mood != "\ud800"


def _case(rng, _):
    sizes = [rng.randrange(6) for _ in range(rng.randrange(12))]
    questions = {
        f"{piece}.{place}": f"1. It is {piece}.{place}." for piece, size in enumerate(sizes) for place in range(size)
    }
    moods = dict(questions)
    for name in rng.sample(sorted(moods), min(len(moods), rng.choice((0, 0, 1, 3)))):
        raised = (GaveUp("broken"), RigError("the server is gone"), None)
        moods[name] = rng.choice((Failure("busy"), Failure("busy"), rng.choice(VALUES), rng.choice(raised)))
    spoilt = rng.random() < 0.1

    def work():
        for piece, size in enumerate(sizes):
            steps = [replace(STEP, instruction=f"{piece}.{place}") for place in range(size)]
            yield Asked(piece=piece, name=f"piece {piece}", questions=list(map(seen_in, steps)), places=["x"] * size)
        if spoilt:
            raise DatasetError("the data are spoilt")

    found, error = [], None
    try:
        for piece, answers in answered(Moody(moods, rng.randrange(1, 5), rng.randrange(1, 5)), work()):
            found.append(piece)
            assert answers == [moods[f"{piece}.{place}"] for place in range(sizes[piece])]
    except (AnnotationError, DatasetError, RigError, GaveUp) as raised:
        error = raised
    assert found == sorted(set(found)), "in order, and each once"
    whole = [p for p, size in enumerate(sizes) if all(is_answer(moods[f"{p}.{place}"]) for place in range(size))]
    assert set(found) <= set(whole)
    stopped = any(mood is None or isinstance(mood, Exception) for mood in moods.values())
    assert stopped or found == whole, "what one question costs is its own piece"
    if found == list(range(len(sizes))):
        assert spoilt == (error is not None)
        return "all"
    assert error is not None
    assert "busy" not in str(error) or any(isinstance(mood, Failure) for mood in moods.values())
    return "stopped" if stopped else "some"


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Ask `count` moody annotators; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named.
    """
    return outcomes_of(_case, count, seed)
