"""Reasoners and Reviewers: by rules over privileged state, or by any model behind the same interface."""

from rig.annotators.base import (
    CHECKERS,
    REASONERS,
    REVIEWERS,
    ClaimChecker,
    Reasoner,
    ReviewCase,
    Reviewer,
    Verdict,
    checker_of,
    wordings_of,
)

__all__ = [
    "CHECKERS",
    "REASONERS",
    "REVIEWERS",
    "ClaimChecker",
    "ReviewCase",
    "Reasoner",
    "Reviewer",
    "Verdict",
    "checker_of",
    "wordings_of",
]
