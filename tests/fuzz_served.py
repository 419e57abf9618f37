"""What servers send, spoilt in its bytes and in its values: it becomes a thought that can be learned, or is refused.

PYTHONPATH=src:tests python -c "import fuzz_served; print(fuzz_served.run(3000, seed=0))"
"""

import json

from data_mutations import VALUES, outcomes_of, spoil_bytes, spoil_json

from rig.actions import CRAFTER, MINERL, NOOP, Action
from rig.annotators.vlm import prompts
from rig.annotators.vlm.answers import WrongAnswer, reasoner_thought, reviewer_thought
from rig.annotators.vlm.asked import Reply
from rig.annotators.vlm.transport import Transient, read_reply, wanted_pause
from rig.dialogue import is_speakable

ACTIONS = ((CRAFTER, Action.press("use")), (CRAFTER, NOOP), (MINERL, Action.press("forward", camera=(0, -10))))


def completion(space, action, is_review, rng):
    """Return what an obedient server sends."""
    answer = {"thought": ["I see a tree", "It is near.", "So I go on."][: rng.randrange(2, 4)]}
    answer |= {"verdict": "keep"} if is_review else {}
    answer["action"] = space.format(action)
    text = spoil_json(answer, rng) if rng.random() < 0.5 else json.dumps(answer)
    if rng.random() < 0.3:
        text = rng.choice(("```json\n{}\n```", "<think>no</think>{}", "Sure: {}", "{} {}", "<think>{}")).replace(
            "{}", text
        )
    message = {"role": "assistant", "content": text, "reasoning_content": rng.choice((None, "hm", 3))}
    usage = rng.choice((None, {"prompt_tokens": 4, "completion_tokens": 5}, {"prompt_tokens": -1}, 3))
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


def _case(rng, _):
    space, action = rng.choice(ACTIONS)
    is_review = rng.random() < 0.5
    sent = completion(space, action, is_review, rng)
    data = (spoil_json(sent, rng) if rng.random() < 0.3 else json.dumps(sent)).encode()
    if rng.random() < 0.3:
        data = spoil_bytes(data, rng)
    wanted_pause({"retry-after": str(rng.choice(VALUES))[:50], "retry-after-ms": str(rng.choice(VALUES))[:50]})
    try:
        reply = read_reply(data.decode(errors="replace"), "the server")
    except Transient:
        return "no reply"
    assert isinstance(reply, Reply)
    json.dumps([reply.text, reply.reasoning, reply.finish, reply.refusal]).encode()
    reply.text.encode()
    try:
        thought = (
            reviewer_thought(reply, action, action, space) if is_review else reasoner_thought(reply, action, space)
        )
    except WrongAnswer as error:
        prompts.repair(str(error)).encode()
        return "refused"
    assert is_speakable(thought)
    assert thought.startswith("1. ")
    assert len(thought) <= prompts.MOST_CHARACTERS
    assert thought.isprintable()
    return "a thought"


def run(count: int, seed: int = 0) -> dict[str, int]:
    """Read `count` answers; return the outcomes' counts.

    Raises:
        AssertionError: seed and case are named.
    """
    return outcomes_of(_case, count, seed)
