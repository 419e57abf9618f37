"""The way to one answer: ask; where it was cut, ask for a longer one; where it is of no use, have it mended once.

It is written as a generator that yields requests and is sent replies, so that the same way is walked with a server, and
with nothing but the store: to see what would have to be paid.
"""

from __future__ import annotations

from collections.abc import Generator

from rig.annotators.asking import Failure
from rig.annotators.vlm.answers import Check, WrongAnswer
from rig.annotators.vlm.asked import Reply, Request

Way = Generator[Request, Reply, str | Failure]
CUT = "length"


def way_to_answer(request: Request, check: Check) -> Way:
    """Yield requests, to be sent the reply to each; return the answer, or why there is none."""
    reply = yield request
    if reply.finish == CUT:
        request = request.with_room()
        reply = yield request
    try:
        return _read(reply, request, check)
    except WrongAnswer as error:
        request = request.repairing(reply.text, str(error))
    try:
        return _read((yield request), request, check)
    except WrongAnswer as error:
        return Failure(f"an answer that was to be mended is still of no use: {error}")


def _read(reply: Reply, request: Request, check: Check) -> str | Failure:
    """Return the thought that a reply holds, or why there will be none.

    Raises:
        WrongAnswer: it is of no use as it is.
    """
    if reply.finish == CUT:
        return Failure(f"its answer was cut at {request.max_tokens} tokens; give more as max_tokens")
    if reply.refusal or reply.finish == "content_filter":
        return Failure(f"the model will not answer: {reply.refusal or 'its filter held the answer back'}"[:300])
    return check(reply)
