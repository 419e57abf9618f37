"""Text on its way to a terminal, which may not know its letters and obeys some of its characters."""

from __future__ import annotations

import re
import sys

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls but tab and newline: ESC moves the cursor, BEL rings
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # show what follows in another order than it is written in
    "\u2028\u2029\ufff9-\ufffb]"  # break lines, and hide what they enclose
)


def harmless(text: str) -> str:
    """Return text as a terminal may show it: each character that it would obey is written as its escape."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def take_any_text() -> None:
    """Have standard output and errors write escapes for what their encoding lacks, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
