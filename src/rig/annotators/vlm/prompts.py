"""The instructions of the Reasoner and the Reviewer, in the manner of the paper's, and nowhere else.

They are what annotators are told. What agents see is in `rig.dialogue.prompt`. A change of a word here is another
`version`, which is hashed into the lineage and into every answer's name in the store.
"""

from __future__ import annotations

from collections.abc import Sequence

from rig.actions import ActionSpace
from rig.annotators.claims import Language
from rig.annotators.configured import prompt_hash

MOST_CLAUSES, FEWEST_CLAUSES = 4, 2
MOST_CHARACTERS = 480
"""Of a whole thought: of what a context of 4,096 tokens spares for each of several turns."""

_REASONER = """\
You are shown what a player of a video game saw at one moment: a single frame, from the player's own eyes or \
from above. You are told the player's task, the action before, and the action that the player took next. Write \
the thought that leads from that frame to that action, as the player would have had it at that moment.

- {fewest} to {most} short clauses, first person, present tense: what in the frame matters for the task, then \
what is still missing, and at the end what to do now. The last clause is the action that was taken, in words.
- Say only what the frame shows. Leave out what is outside of it, and what will come later.
- The action was good as it was: explain it, and propose no other.
- The player knows of no frame, no list of keys and no instructions: speak of none of them.
- No more than {characters} characters in all.
"""

_REVIEWER = """\
You review the plan of a player of a video game. You are shown the frame that the player sees now; then, for \
each step of the plan, what the player meant to do, why, and the frame that this leads to. You are told the \
task, the plan's first action, and the action that an expert takes in its place. Where the two are the same, \
the plan is good. Write the player's second thought, had on looking at the present frame again.

- {fewest} to {most} short clauses, first person, present tense: what the plan was, what it leads to in those \
frames, whether it is kept or changed and why, and at the end what to do now, which is the expert's action, in \
words.
- "verdict" is "keep" where the expert's action is the plan's first action, and "change" where it is another.
- Say only what the frames show. The player knows of no expert, no frames, no list of keys and no \
instructions: speak of none of them.
- No more than {characters} characters in all.
"""

_ANSWER_REASONER = """
Answer with one JSON object and nothing else, in this form:
{"thought": ["first clause", "second clause"], "action": "the action that was taken, letter for letter"}
"""

_ANSWER_REVIEWER = """
Answer with one JSON object and nothing else, in this form:
{"thought": ["first clause", "second clause"], "verdict": "keep or change", "action": "the expert's action, letter for \
letter"}
"""

_SENTENCES = """
Every clause is one of these sentences, word for word, with what is in braces filled in; no other sentence can be \
understood:
"""

_REPAIR = """\
That answer cannot be used: {reason}. Answer once more, with the whole JSON object and nothing else."""

_FACTS = "Task: {task}\nAction before: {before}\n"
_TAKEN = "Action taken: {action}\n"
_FRAME = "The frame:"
_PLANNED = "\nStep {number} of the plan. Action: {action}\nThought: {thought}\nIt leads to:"
_UNSEEN = " a frame that nobody has seen."
_DECISION = "\nThe plan's first action: {proposal}\nThe expert's action: {better}\n"
_ACTIONS = "Actions are written so: {example}. The keys are {keys}{camera}. {noop} is to do nothing."
_CAMERA = (
    "; camera:[pitch,yaw] turns the head by degrees, pitch below 0 up and above 0 down, yaw below 0 left and above 0 "
    "right"
)
_NO_THOUGHT = "(none)"

_ALL = (_REASONER, _REVIEWER, _ANSWER_REASONER, _ANSWER_REVIEWER, _SENTENCES, _REPAIR, _FACTS, _TAKEN, _FRAME)
_MORE = (_PLANNED, _UNSEEN, _DECISION, _ACTIONS, _CAMERA, _NO_THOUGHT)
VERSION = prompt_hash("\n".join((*_ALL, *_MORE, str((MOST_CLAUSES, FEWEST_CLAUSES, MOST_CHARACTERS)))))
"""Of every text here."""


def reasoner_rules(space: ActionSpace, language: Language | None) -> str:
    """Return what a Reasoner is told before the first frame."""
    return _rules(_REASONER, _ANSWER_REASONER, space, language, reviews=False)


def reviewer_rules(space: ActionSpace, language: Language | None) -> str:
    """Return what a Reviewer is told before the first frame."""
    return _rules(_REVIEWER, _ANSWER_REVIEWER, space, language, reviews=True)


def _rules(rules: str, answer: str, space: ActionSpace, language: Language | None, *, reviews: bool) -> str:
    told = rules.format(fewest=FEWEST_CLAUSES, most=MOST_CLAUSES, characters=MOST_CHARACTERS)
    return "".join((told, _actions(space), "\n", _sentences(language, reviews=reviews), answer))


def _actions(space: ActionSpace) -> str:
    both = not space.exclusive and len(space.keys) > 1
    example = ", ".join([*space.keys[: 2 if both else 1], *(["camera:[0,10]"] if space.camera else [])])
    keys = ", ".join(space.keys) + (", of which one at a time can be pressed" if space.exclusive else "")
    return _ACTIONS.format(example=example, keys=keys, camera=_CAMERA if space.camera else "", noop="noop")


def _sentences(language: Language | None, *, reviews: bool) -> str:
    if language is None:
        return ""
    kinds = [kind for kind in language.wordings if reviews or kind not in language.reviewed]
    return _SENTENCES + "".join(f"{language.wordings[kind][0]}\n" for kind in kinds)


def facts(instruction: str, previous_action: str) -> str:
    """Return the task and the action before."""
    return _FACTS.format(task=instruction, before=previous_action)


def taken(action: str) -> str:
    """Return the action that is to be explained, up to the frame."""
    return _TAKEN.format(action=action) + _FRAME


def now() -> str:
    """Return what stands before the frame that is seen now."""
    return _FRAME


def planned(number: int, action: str, thought: str | None, *, is_seen: bool) -> str:
    """Return a step of a plan, up to the frame that it leads to."""
    told = _PLANNED.format(number=number, action=action, thought=thought or _NO_THOUGHT)
    return told if is_seen else told + _UNSEEN


def decision(proposal: str, better: str) -> str:
    """Return what was proposed, and what is better."""
    return _DECISION.format(proposal=proposal, better=better)


def repair(reason: str) -> str:
    """Return what is said of an answer that is none."""
    return _REPAIR.format(reason=reason)


def words(texts: Sequence[str]) -> int:
    """Return about how many tokens texts are: a token for every three characters, which is more than most."""
    return sum(len(text) for text in texts) // 3 + 4 * len(texts)
