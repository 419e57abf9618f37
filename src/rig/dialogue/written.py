"""The conversation of a single turn as a model wrote it, token for token: what learning from its own play needs.

A text can be written in more than one way in tokens. What is learned is the way that was taken, behind the very tokens
that it was written behind.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rig.actions import ActionSpace
from rig.dialogue.encoding import Kind, SegmentEncoder, TokenSequence
from rig.dialogue.prompt import NEXT_ACTION, PromptFormat, answer_prefix, ask_about
from rig.dialogue.segments import Role
from rig.errors import DialogueError
from rig.records import Step


def as_written(
    step: Step,
    space: ActionSpace,
    encoder: SegmentEncoder,
    prompt_format: PromptFormat,
    weights: NDArray[np.float32],
) -> TokenSequence:
    """Return what was observed at a step, and behind it the answer in the tokens that were written.

    Args:
        step: with its `tokens`, of an answer that is no review.
        space: the world's action space.
        encoder: of the model that wrote it.
        prompt_format: the fields that it speaks.
        weights: float32 [n], of each of the written tokens in training; 0 makes context of one.

    Raises:
        DialogueError: nobody knows how the step was written.
    """
    if step.tokens is None:
        raise DialogueError(f"step {step.index} was written by no model; only a policy's own decisions have tokens")
    asked = encoder.encode([*ask_about(step, space, prompt_format), *answer_prefix(prompt_format)])
    ids, count = step.tokens.ids, len(step.tokens.ids)
    start = asked.next_position
    return TokenSequence(
        ids=np.concatenate([asked.ids, ids]),
        kinds=np.concatenate([asked.kinds, np.full(count, Kind.TEXT, np.uint8)]),
        roles=np.concatenate([asked.roles, _roles(ids, encoder, prompt_format)]),
        weights=np.concatenate([asked.weights, weights.astype(np.float32)]),
        positions=np.concatenate([asked.positions, np.arange(start, start + count, dtype=np.int32)]),
        frames=asked.frames,
    )


def _roles(ids: NDArray[np.int32], encoder: SegmentEncoder, prompt_format: PromptFormat) -> NDArray[np.uint8]:
    """Return what each written token stands for: a thought up to the phrase that ends it, and then an action."""
    roles = np.full(len(ids), Role.ACTION, np.uint8)
    if prompt_format.thought:
        stop = encoder.tokenizer.encode(NEXT_ACTION, literal=True)
        ends = (at + len(stop) for at in range(len(ids)) if ids[at : at + len(stop)].tolist() == list(stop))
        roles[: next(ends, len(ids))] = Role.THOUGHT
    return roles
