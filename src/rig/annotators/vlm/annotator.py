"""The Reasoner and the Reviewer that ask a vision-language model behind a server: `--reasoner openai`, and so on."""

from __future__ import annotations

from collections.abc import Iterator

from rig.annotators.base import Reasoner, Reviewer
from rig.annotators.evidence import Evidence, ReviewEvidence
from rig.annotators.vlm import prompts
from rig.annotators.vlm.answers import REASONER_SCHEMA, REVIEWER_SCHEMA, reasoner_thought, reviewer_thought
from rig.annotators.vlm.dialogues import Way, way_to_answer
from rig.annotators.vlm.served import Served
from rig.records import Frame


class OpenAIReasoner(Served, Reasoner[Evidence]):
    """Y = Reasoner(x, A): shows the frame, and says the task, the action before and the action that was taken."""

    role = "reasoner"

    def way(self, question: Evidence, seed: int | None = None) -> Way:
        """Return the way to the thought of a step."""
        space = self.actions
        before, action = space.format(question.previous_action), space.format(question.action)
        parts = (prompts.facts(question.instruction, before) + prompts.taken(action), question.frame)
        rules = prompts.reasoner_rules(space, self.language)
        request = self._request(rules, parts, REASONER_SCHEMA, seed)
        return way_to_answer(request, lambda reply: reasoner_thought(reply, question.action, space))


class OpenAIReviewer(Served, Reviewer[ReviewEvidence]):
    """Y⁺ = Reviewer(X⁻, Y⁻, A⁻, A⁺): shows what the plan leads to, for real where that is known.

    It is told what is better. Each dream is shown by the engine's frame; by its own where nobody replayed it.
    """

    role = "reviewer"

    def way(self, question: ReviewEvidence, seed: int | None = None) -> Way:
        """Return the way to the review of a lookahead."""
        space = self.actions
        rules = prompts.reviewer_rules(space, self.language)
        request = self._request(rules, self._parts(question), REVIEWER_SCHEMA, seed)
        return way_to_answer(request, lambda reply: reviewer_thought(reply, question.proposal, question.better, space))

    def _parts(self, question: ReviewEvidence) -> Iterator[str | Frame]:
        space = self.actions
        yield prompts.facts(question.instruction, space.format(question.previous_action)) + prompts.now()
        yield question.frame
        for number, dream in enumerate(question.dreams, 1):
            frame = dream.frame if dream.real_frame is None else dream.real_frame
            action = space.format(dream.action)
            yield prompts.planned(number, action, dream.thought, is_seen=frame is not None)
            if frame is not None:
                yield frame
        yield prompts.decision(space.format(question.proposal), space.format(question.better))
