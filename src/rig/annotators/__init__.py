"""Reasoners and Reviewers: by rules over privileged state, or by any model behind the same interface."""

from rig.annotators.base import (
    CHECKERS,
    LABELLERS,
    REASONERS,
    REVIEWERS,
    ClaimChecker,
    Labeller,
    Reasoner,
    ReviewCase,
    Reviewer,
    Verdict,
    Vocabulary,
    can_tell,
    checker_of,
    vocabulary_of,
)

__all__ = [
    "CHECKERS",
    "LABELLERS",
    "REASONERS",
    "REVIEWERS",
    "ClaimChecker",
    "Labeller",
    "ReviewCase",
    "Reasoner",
    "Reviewer",
    "Verdict",
    "Vocabulary",
    "can_tell",
    "checker_of",
    "vocabulary_of",
]
