"""Frames as a model is shown them: enlarged or reduced, as PNG in a data URI."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import ceil
from typing import Any, Literal

import numpy as np
from PIL import Image

from rig.records import Frame

_TILE, _TILE_TOKENS, _BASE_TOKENS = 512, 170, 85
"""How OpenAI counts a picture for GPT-4o: so much for each tile begun, and so much for the whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A frame in a question.

    Attributes:
        frame: uint8 [H, W, 3].
        size: pixels of its longer side as it is shown.
        detail: OpenAI's word for how closely it is looked at.
    """

    frame: Frame
    size: int
    detail: Literal["auto", "low", "high"] = "auto"

    @cached_property
    def digest(self) -> str:
        """The hash of its pixels and of how they are shown, whoever writes the PNG."""
        frame = np.ascontiguousarray(self.frame)
        about = f"{frame.shape}/{self.size}/{self.detail}/".encode()
        return sha256(about + frame.tobytes()).hexdigest()

    @property
    def tokens(self) -> int:
        """About how many tokens it takes, as OpenAI counts them."""
        if self.detail == "low":
            return _BASE_TOKENS
        return _BASE_TOKENS + _TILE_TOKENS * ceil(self.size / _TILE) ** 2

    def part(self) -> dict[str, Any]:
        """Return it as a part of a message."""
        told = {} if self.detail == "auto" else {"detail": self.detail}  # some servers know no such field
        data = base64.b64encode(_png(self.frame, self.size)).decode()
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", **told}}


def _png(frame: Frame, size: int) -> bytes:
    image = Image.fromarray(np.ascontiguousarray(frame))
    longest = max(image.size)
    if longest > size:
        sides = [max(1, round(side * size / longest)) for side in image.size]
        image = image.resize((sides[0], sides[1]), Image.Resampling.BOX)
    elif (times := size // longest) > 1:
        image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    held = io.BytesIO()
    image.save(held, "PNG")
    return held.getvalue()
