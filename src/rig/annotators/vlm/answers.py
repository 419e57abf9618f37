"""Answers, read strictly: whatever a server promises of its JSON, it is looked at here before it is a thought."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from rig.actions import Action, ActionSpace
from rig.annotators.vlm import prompts
from rig.annotators.vlm.asked import Reply
from rig.dialogue.prompt import held_phrase
from rig.errors import ActionError, RigError
from rig.validation import Meta, is_unicode, parse_json, shown, validated

T = TypeVar("T")

_THINKING = re.compile(r"<think(?:ing)?>(.*?)</think(?:ing)?>", re.DOTALL)
_MARK = re.compile(r"</?think")
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_NUMBER = re.compile(r"^\s*(?:\(?\d+[.):]|[-*•])(?:\s+|$)")
_NUMBERED_WITHIN = re.compile(r"(?:^|[.!?] )\d+\. ")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ENDS = (".", "!", "?")

Clauses = Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(min_length=1)]


class WrongAnswer(RigError):
    """An answer that is of no use; the message is for the model that gave it."""


@dataclass(frozen=True, kw_only=True)
class ReasonerAnswer:
    """What a Reasoner is to answer."""

    thought: Clauses
    action: str


@dataclass(frozen=True, kw_only=True)
class ReviewerAnswer:
    """What a Reviewer is to answer."""

    thought: Clauses
    verdict: Literal["keep", "change"]
    action: str


def _schema(**fields: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


_TEXTS: dict[str, object] = {"type": "array", "items": {"type": "string"}}
_TEXT: dict[str, object] = {"type": "string"}
REASONER_SCHEMA = _schema(thought=_TEXTS, action=_TEXT)
REVIEWER_SCHEMA = _schema(thought=_TEXTS, verdict={"type": "string", "enum": ["keep", "change"]}, action=_TEXT)


def without_thinking(text: str) -> tuple[str, str]:
    """Return a text without what a model thought in it, and that thinking; what is not closed is all thinking."""
    apart = [found.strip() for found in _THINKING.findall(text)]
    left = _THINKING.sub("", text)
    said, mark, rest = left.partition("<think")
    if mark:  # never closed: the answer was never begun
        return said.strip(), "\n".join([*apart, rest.partition(">")[2].strip()])
    before, mark, after = left.rpartition("</think>")  # where a template wrote the opening
    if mark:
        return after.strip(), "\n".join([before.strip(), *apart])
    return left.strip(), "\n".join(apart)


def reasoner_thought(reply: Reply, action: Action, space: ActionSpace) -> str:
    """Return the thought that a Reasoner answered.

    Raises:
        WrongAnswer: it does not parse, has too few or too many clauses, is too long, holds what cannot stand in a
            conversation, or is about another action than `action`.
    """
    answer = _parsed(reply.text, ReasonerAnswer)
    _refuse_other_action(answer.action, action, space, "the action that was taken")
    return _thought(answer.thought)


def reviewer_thought(reply: Reply, proposal: Action, better: Action, space: ActionSpace) -> str:
    """Return the review that a Reviewer answered.

    Raises:
        WrongAnswer: as of `reasoner_thought`; or the verdict is not what becomes of the plan.
    """
    answer = _parsed(reply.text, ReviewerAnswer)
    _refuse_other_action(answer.action, better, space, "the expert's action")
    wanted = "keep" if better == proposal else "change"
    if answer.verdict != wanted:
        same = "the plan's own" if wanted == "keep" else "another than the plan's"
        raise WrongAnswer(f'"verdict" is "{answer.verdict}", and the expert\'s action is {same}: it is "{wanted}"')
    return _thought(answer.thought)


def _parsed(text: str, kind: type[T]) -> T:
    fix = "mend it"
    value = parse_json(_object_in(text), "the answer", fix, WrongAnswer)
    return validated(value, kind, "the answer", fix, WrongAnswer)


def _object_in(text: str) -> str:
    """Return the JSON object that a text holds: all of it, what is fenced, or from its first brace to its last."""
    if not text:
        raise WrongAnswer("it is empty")
    if not is_unicode(text):
        raise WrongAnswer("it holds half a character")
    fenced = _FENCED.search(text)
    if fenced:
        return fenced[1]
    start, stop = text.find("{"), text.rfind("}")
    if start < 0 or stop < start:
        raise WrongAnswer("it holds no JSON object")
    return text[start : stop + 1]


def _refuse_other_action(text: str, action: Action, space: ActionSpace, what: str) -> None:
    wanted = space.format(action)
    try:
        found = space.parse(text.strip())
    except ActionError as error:
        raise WrongAnswer(f'"action" is {shown(text)}, which is none; {what} is {json.dumps(wanted)}') from error
    if found != action:
        raise WrongAnswer(f'"action" is {shown(text)}, and {what} is {json.dumps(wanted)}')


def _thought(clauses: tuple[str, ...]) -> str:
    """Return clauses as a thought: numbered, each a sentence on one line."""
    if not prompts.FEWEST_CLAUSES <= len(clauses) <= prompts.MOST_CLAUSES:
        raise WrongAnswer(
            f'"thought" has {len(clauses)} clauses; {prompts.FEWEST_CLAUSES} to {prompts.MOST_CLAUSES} are wanted'
        )
    thought = " ".join(f"{number}. {_clause(text)}" for number, text in enumerate(clauses, 1))
    if len(thought) > prompts.MOST_CHARACTERS:
        raise WrongAnswer(f'"thought" has {len(thought)} characters; {prompts.MOST_CHARACTERS} are the most')
    held = held_phrase(thought)
    if held is not None:
        raise WrongAnswer(f'"thought" holds the words {json.dumps(held)}, which are not to be used')
    return thought


def _clause(text: str) -> str:
    plain = _NUMBER.sub("", " ".join(text.split()))
    for wrong, why in (
        (not plain, "is empty"),
        (bool(_CONTROL.search(plain)), "holds a control character"),
        (bool(_MARK.search(plain)), "holds a mark of thinking"),
        (bool(_NUMBERED_WITHIN.search(plain)), "holds numbered clauses itself; give each as one of the list"),
    ):
        if wrong:
            raise WrongAnswer(f'a clause of "thought", {shown(text)}, {why}')
    return plain if plain.endswith(_ENDS) else f"{plain}."


Check = Callable[[Reply], str]
"""Returns the thought of a reply, or raises `WrongAnswer`."""
