"""Conversations back to records: the inverse of `rig.dialogue.prompt` and `rig.dialogue.lookahead`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rig.actions import Action, ActionSpace
from rig.dialogue import prompt
from rig.dialogue.segments import End, ReadImage, Segment, Text, WriteImage
from rig.errors import DialogueError
from rig.records import Codes, Dream, Frame, Review, Step


@dataclass(frozen=True, kw_only=True)
class _Turn:
    frame: Frame | None
    instruction: str
    executed: tuple[Action, ...]
    is_review: bool
    thought: str | None
    action: Action
    codes: Codes | None


def parse_conversation(segments: Sequence[Segment], space: ActionSpace) -> Step:
    """Return the step that `segments` tell; the inverse of `basic_conversation` and `lookahead_conversation`.

    Of a lookahead's dreams it knows what the conversation shows: the thought, the action, the codes that stand in the
    model's turn and the frame that was read back; and of the actions that led there those that are told.

    Raises:
        DialogueError: the segments do not follow the format.
        ActionError: an action's text is not in `space`.
    """
    turns = [_parse_turn(turn, space) for turn in _split_turns(segments)]
    if not turns or turns[0].frame is None:
        raise DialogueError("a conversation opens with an observed frame")
    first, last = turns[0], turns[-1]
    if last.is_review != (len(turns) > 1):
        raise DialogueError(f"a lookahead, and nothing else, ends with {prompt.REVIEW.strip()!r}")
    dreams = tuple(
        Dream(thought=turn.thought, action=turn.action, codes=turn.codes, frame=following.frame)
        for turn, following in itertools.pairwise(turns)
    )
    review = (
        Review(thought=last.thought, action=last.action, helped=last.action != dreams[0].action) if dreams else None
    )
    step = Step(
        index=0,
        frame=turns[0].frame,
        instruction=first.instruction,
        previous_action=first.executed[0],
        earlier_actions=first.executed[1:],
        thought=last.thought,
        action=last.action,
        dreams=dreams,
        review=review,
    )
    return step.with_next_codes(last.codes)


def parse_answer(text: str, space: ActionSpace) -> tuple[str | None, Action]:
    """Return (thought, action) of the model's turn, given from its opening phrase on and without its image.

    Raises:
        DialogueError: the turn has no action.
        ActionError: the action's text is not in `space`.
    """
    reply = text.removeprefix(prompt.REVIEW)
    thought = None
    if reply.startswith(prompt.REASONING):
        thought, found, action = reply.removeprefix(prompt.REASONING).partition(prompt.NEXT_ACTION)
    else:
        _, found, action = reply.partition(prompt.FIRST_ACTION)
    if not found:
        raise DialogueError(f"a turn without {prompt.FIRST_ACTION.strip()!r}: {text[:120]!r}")
    return thought, space.parse(action.removesuffix(prompt.NEXT_FRAME))


def _split_turns(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    turn: list[Segment] = []
    for segment in segments:
        if isinstance(segment, End):
            yield turn
            turn = []
        else:
            turn.append(segment)
    if turn:
        raise DialogueError("the conversation's last turn has no end; was it cut?")


def _parse_turn(turn: list[Segment], space: ActionSpace) -> _Turn:
    text = _text(turn)
    question, _, reply = text.partition(prompt.RIG)
    ask = next((phrase for phrase in prompt.ASK.values() if phrase in question), None)
    if ask is None or prompt.PREVIOUS_ACTION not in question:
        raise DialogueError(f"not a turn of the prompt format: {text[:120]!r}")
    instruction, _, previous = question.partition(ask)[2].partition(prompt.PREVIOUS_ACTION)
    thought, action = parse_answer(reply, space)
    written = [image.codes for image in turn if isinstance(image, WriteImage)]
    if len(written) > 1:
        raise DialogueError(f"a turn writes one image at the most, not {len(written)}")
    return _Turn(
        frame=_opening_frame(turn),
        instruction=instruction,
        executed=tuple(map(space.parse, previous.split(prompt.THEN))),
        is_review=reply.startswith(prompt.REVIEW),
        thought=thought,
        action=action,
        codes=written[0] if written else None,
    )


def _opening_frame(turn: list[Segment]) -> Frame | None:
    """Return the frame that a turn opens with, observed or dreamed, and not what a review observes again.

    Raises:
        DialogueError: the turn reads more images than the format has.
    """
    images = [(place, segment.frame) for place, segment in enumerate(turn) if isinstance(segment, ReadImage)]
    if not images:
        return None
    place, frame = images[0]
    is_first, is_dreamed = _text(turn[:place]).startswith(prompt.OPENING), prompt.IMAGINE in _text(turn[place:])
    if len(images) > 1 + is_dreamed:
        raise DialogueError(f"a turn reads one image, or a dream and the observed frame, not {len(images)} images")
    return frame if is_first or is_dreamed else None


def _text(segments: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in segments if isinstance(segment, Text))
