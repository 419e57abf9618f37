"""How well counterfactual sets are judged: pairs ranked rightly, the best branch found, and what choosing costs.

    scores = score_sets(sets_of(Dataset("runs/branches")), {"votes": by_votes})

A score of branches is a function of the branches of one set; higher is better. Sets whose branches are all worth the
same say nothing of a judge, and are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any, Literal

import numpy as np

from rig.agents.judges import change, has_effect
from rig.data import Dataset
from rig.errors import DatasetError, RigError
from rig.evaluate.stats import mean_if_any
from rig.records import POLICY, Frame, Step
from rig.stages.branching import Branch, branch_of


@dataclass(frozen=True, kw_only=True, eq=False)
class BranchSet:
    """The branches of one state.

    Attributes:
        episode: the id of the trajectory.
        steps: the branches, in the order in which they were proposed: the agent's own first.
        facts: what is known of each.
    """

    episode: str
    steps: tuple[Step, ...]
    facts: tuple[Branch, ...]

    @property
    def own(self) -> BranchSet:
        """The agent's own proposals alone: what a planner chooses from."""
        chosen = [index for index, fact in enumerate(self.facts) if fact.source == POLICY]
        return BranchSet(
            episode=self.episode,
            steps=tuple(self.steps[index] for index in chosen),
            facts=tuple(self.facts[index] for index in chosen),
        )

    @property
    def losses(self) -> np.ndarray:
        """What each branch costs against the best of these, int64 [branches]."""
        lost = np.array([fact.lost for fact in self.facts], np.int64)
        return lost - lost.min(initial=np.iinfo(np.int64).max) if len(lost) else lost


Scorer = Callable[[BranchSet], Sequence[float]]
"""Gives each branch of a set a score."""


def sets_of(dataset: Dataset) -> list[BranchSet]:
    """Return the sets of a dataset of `rig branch`.

    Raises:
        DatasetError: it holds other steps.
    """
    if dataset.info.stage != "branch":
        raise DatasetError(f"{dataset.path} is a dataset of {dataset.info.stage}; make one of sets with `rig branch`")
    sets = []
    for trajectory in dataset:
        known = [(step, branch_of(step)) for step in trajectory.steps]
        for _, members in groupby(known, key=lambda pair: pair[1].state):
            steps, facts = zip(*members, strict=True)
            sets.append(BranchSet(episode=trajectory.id, steps=steps, facts=facts))
    return sets


def by_votes(branches: BranchSet) -> list[float]:
    """Score a branch by how many proposals chose it: the majority vote, which costs no dream."""
    return [float(fact.votes) for fact in branches.facts]


def by_order(branches: BranchSet) -> list[float]:
    """Prefer what was proposed first: no choice at all."""
    return [-float(index) for index in range(len(branches.facts))]


def by_frames(kind: Literal["dreams", "real"], worth: Callable[[Frame, Frame], float]) -> Scorer:
    """Return a scorer by what the observed frame and that behind the plan, as it was dreamed or came, are worth."""

    def of(step: Step) -> float:
        frame = step.dreams[-1].real_frame if kind == "real" else step.dreams[-1].frame
        if frame is None:
            raise RigError(f"step {step.index} has no {kind} frame to see a change in; make the sets anew")
        return float(worth(step.frame, frame))

    return lambda branches: [of(step) for step in branches.steps]


BASELINES: Mapping[str, Scorer] = {"the first": by_order, "most votes": by_votes}

UNTAUGHT: Mapping[str, Scorer] = {
    "change, dreams": by_frames("dreams", change),
    "change, real": by_frames("real", change),
    "effect, dreams": by_frames("dreams", has_effect),
    "effect, real": by_frames("real", has_effect),
}
"""Scorers by how much of the frame a plan changes, and by whether it changes any; for sets that have these frames."""


def score_sets(sets: Iterable[BranchSet], scorers: Mapping[str, Scorer] = BASELINES) -> dict[str, Any]:
    """Return how well each of `scorers` judges, over the agent's own proposals of each set, as a JSON-able dict.

    Returns:
        Counts of sets and of those that leave a choice; `lost`, what a choice at random would cost in them; for each
        scorer `pairs`, the share of pairs of different worth that it ranks rightly (half for a tie), `best`, the share
        of sets whose best branch it finds, and `lost`, what its choice costs; with 95 % intervals over sets.
    """
    sets = list(sets)
    own, open_ = [branches.own for branches in sets], open_sets(sets)
    found: dict[str, Any] = {
        "sets": len(own),
        "branches": sum(len(branches.facts) for branches in own),
        "with_a_choice": len(open_),
        "at_random": {"lost": mean_if_any([float(branches.losses.mean()) for branches in open_])},
    }
    return found | {"scorers": {name: _score(open_, scorer) for name, scorer in scorers.items()}}


def open_sets(sets: Iterable[BranchSet]) -> list[BranchSet]:
    """Return the agent's own proposals of those sets in which the choice among them matters."""
    own = (branches.own for branches in sets)
    return [branches for branches in own if len(branches.facts) > 1 and branches.losses.any()]


def _score(sets: Sequence[BranchSet], scorer: Scorer) -> dict[str, Any]:
    return {name: mean_if_any(values) for name, values in measured(sets, scorer).items()}


def measured(sets: Sequence[BranchSet], scorer: Scorer) -> dict[str, list[float]]:
    """Return the "pairs", "best" and "lost" of `score_sets` for each of some sets that leave a choice."""
    pairs, best, lost = list[float](), list[float](), list[float]()
    for branches in sets:
        scores, losses = np.array(scorer(branches), float), branches.losses
        pairs.append(_ranked(scores, losses))
        choice = int(scores.argmax())  # of equal ones the first, as a planner takes it
        best.append(float(losses[choice] == 0))
        lost.append(float(losses[choice]))
    return {"pairs": pairs, "best": best, "lost": lost}


def _ranked(scores: np.ndarray, losses: np.ndarray) -> float:
    """Return the share of pairs of different worth that scores rank rightly; half where they tie."""
    shares = [
        0.5 + 0.5 * float(np.sign(scores[a] - scores[b]) * np.sign(losses[b] - losses[a]))
        for a, b in combinations(range(len(losses)), 2)
        if losses[a] != losses[b]
    ]
    return float(np.mean(shares))
