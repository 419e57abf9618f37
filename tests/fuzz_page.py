"""Hostile texts and facts for the trace page: each is shown within bounds, or refused by a named error."""

import json
import random
from collections import Counter
from dataclasses import replace

from rig.errors import RigError
from rig.records import Lineage, Review, fake_trajectory
from rig.viewer.page import script_json
from rig.viewer.payload import build_payload

NUMBERS = ("1. ", "2. ", "17. ", "999999999. ", "0. ")
MARKUP = ("</script>", "<!--", "<img src=x onerror=alert(1)>", "{{payload}}", "]]>", "&amp;", '"', "\\")
LETTERS = (
    "a",
    "word ",
    ". ",
    "\n",
    "\t",
    "\u2028",
    "\ud800",
    "\u202e",
    "e\u0301",
    "\U0001f469\u200d",
    "\x00",
    "\x1b[2J",
)
PIECES = (*NUMBERS, *MARKUP, *LETTERS)
NONSENSE = [None, True, 3, -1, 2**70, 0.5, float("nan"), float("inf"), "", "text", [], {}, [[]], {"text": 3}, [None]]


def text(draw):
    return "".join(draw.choices(PIECES, k=draw.choice([0, 1, 5, 40]))) * draw.choice([1, 1, 1, 200])


def facts(draw):
    """Facts of a step: mostly well formed, sometimes anything."""
    claims = [{"text": text(draw), "verdict": draw.choice([True, False, None])} for _ in range(draw.randint(0, 4))]
    found = {"claims": claims, "samples": draw.randint(0, 9), "verdict": {"says": text(draw), "consistent": False}}
    for name in found:
        if draw.random() < 0.2:
            found[name] = draw.choice(NONSENSE)
    return found


def plan(draw, made):
    """A plan whose judge says anything; now and then its score is no number."""
    score = draw.choice([None, 0.0, -1e300, 3.25, *([float("nan")] if draw.random() < 0.1 else [])])
    return replace(made, thought=text(draw), judgement=text(draw), score=score, votes=draw.choice([0, 1, 2**40]))


def episode(draw):
    fixed = {"length": 2, "num_dreams": draw.randint(0, 2), "num_plans": draw.choice([0, 0, 1, 3]), "size": 4}
    made = fake_trajectory(draw.randrange(9), **fixed)
    steps = tuple(
        replace(
            step,
            thought=text(draw),
            instruction=text(draw),
            review=step.review and Review(thought=text(draw), action=step.action),
            dreams=tuple(replace(dream, thought=text(draw)) for dream in step.dreams),
            candidates=tuple(plan(draw, each) for each in step.candidates),
            privileged=facts(draw),
        )
        for step in made.steps
    )
    lineage = Lineage(stage=text(draw), actor=text(draw))
    return replace(made, id=text(draw), task=text(draw), setting=text(draw), steps=steps, lineage=lineage)


def run(count: int, seed: int) -> dict[str, int]:
    """Build `count` pages; return how many were accepted and refused."""
    outcomes: Counter[str] = Counter(accepted=0, refused=0)
    for case in range(count):
        draw = random.Random(f"{seed}-{case}")
        try:
            made = [episode(draw)]
            page = script_json(build_payload(made, title=text(draw), meta={text(draw): text(draw)}))
        except RigError:
            outcomes["refused"] += 1
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {case}: {error!r}") from error
        assert not set("<>&") & set(page), f"seed {seed}, case {case}: markup in the data"
        assert json.loads(page)["episodes"][0]["steps"], f"seed {seed}, case {case}"
        outcomes["accepted"] += 1
    return dict(outcomes)
