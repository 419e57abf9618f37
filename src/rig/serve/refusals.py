"""What is refused, over whatever way it was asked, and what a policy is asked instead."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from rig.client.messages import Refusal, Refused
from rig.errors import RigError

STATUS = {
    "bad_message": 422,
    "too_large": 413,
    "too_slow": 408,
    "busy": 429,
    "unauthorised": 401,
    "forbidden": 403,
    "draining": 503,
    "failed": 500,
}
"""Code -> HTTP status."""


class Refusing(Exception):
    """Something is refused.

    Args:
        code: one of `STATUS`.
        message: why, and what to do.
        retry_after: seconds after which to ask again.
    """

    def __init__(self, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def headers(self) -> Mapping[str, str]:
        """The HTTP headers."""
        named = {"content-type": "application/json"}
        if self.code == "unauthorised":
            named["www-authenticate"] = "Bearer"
        return named if self.retry_after is None else named | {"retry-after": str(max(1, round(self.retry_after)))}

    @property
    def answer(self) -> Refused:
        """What the client is told."""
        return Refused(error=Refusal(code=self.code, message=str(self), retry_after=self.retry_after))

    @property
    def body(self) -> bytes:
        """The same as JSON."""
        return msgspec.json.encode(self.answer)


def bad_message(error: RigError) -> Refusing:
    """Return the refusal of what the user got wrong."""
    return Refusing("bad_message", str(error).encode(errors="replace").decode())


def busy(what: str) -> Refusing:
    """Return the refusal of what there is no room for now."""
    return Refusing("busy", f"{what}; ask again", retry_after=1.0)


def draining() -> Refusing:
    """Return the refusal of a server that ends."""
    return Refusing("draining", "this server ends, and takes nothing more; ask another, or this one when it is back")


def too_large(most: int) -> Refusing:
    """Return the refusal of a message of more than `most` bytes."""
    return Refusing("too_large", f"the message has more than {most} bytes; send a smaller frame")
