"""Sheets: frames in rows, with a line above each, as one picture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rig.records import Frame
from rig.storage import atomic_file

LEAST_WIDTH = 128
"""Frames smaller than this are enlarged by a whole factor, so that what stands above them can be read."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_LINE = 14
_GAP = 4


def write_sheet(path: Path, rows: Sequence[Sequence[Frame | None]], lines: Sequence[Sequence[str]] = ()) -> Path:
    """Write rows of frames as a picture, and return its path.

    Args:
        path: where to; what it ends with says the format.
        rows: frames uint8 [H, W, 3], all of one size, or None for an empty place.
        lines: what is written above each frame of each row, cut to its width; nothing where empty.

    Raises:
        ValueError: there is no frame, frames differ in size, or there are not as many lines as rows.
    """
    sizes = {frame.shape[:2] for row in rows for frame in row if frame is not None}
    if len(sizes) != 1 or (lines and len(lines) != len(rows)):
        raise ValueError(f"a sheet of frames of {sorted(sizes)} with {len(lines)} lines for {len(rows)} rows")
    height, width = sizes.pop()
    factor = -(-LEAST_WIDTH // width) if lines else 1
    height, width = height * factor, width * factor
    above, gap = (_LINE, _GAP) if lines else (0, 0)
    columns = max(len(row) for row in rows)
    size = (columns * (width + gap) - gap, len(rows) * (height + above + gap) - gap)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for number, row in enumerate(rows):
        top = number * (height + above + gap)
        for column, frame in enumerate(row):
            left = column * (width + gap)
            if lines:
                draw.text((left, top), cut_line(lines[number][column], font, width), fill="black", font=font)
            if frame is not None:
                shown = np.repeat(np.repeat(frame, factor, axis=0), factor, axis=1)
                sheet.paste(Image.fromarray(shown), (left, top + above))
    with atomic_file(path) as temporary:
        sheet.save(temporary, format=Image.registered_extensions()[path.suffix], quality=85)
    return path


def wrapped(text: str, font: Font, width: int, *, most: int) -> list[str]:
    """Return the text in lines that fit into `width` pixels, at most `most`; the last is cut where there is more.

    The number of a clause stays with it, as in "1. I see a tree."
    """
    lines = [""]
    for word in re.split(r"(?<![.!?] \d\.)\s+", text.strip()):
        longer = f"{lines[-1]} {word}".lstrip()
        if font.getlength(longer[: width + 1]) <= width and len(longer) <= width:
            lines[-1] = longer
        elif len(lines) == most:
            lines[-1] = cut_line(f"{longer} …", font, width)
            break
        else:
            lines.append(word)
    return [cut_line(line, font, width) for line in lines if line]


def cut_line(line: str, font: Font, width: int) -> str:
    """Return as much of the line as fits into `width` pixels, of which a letter takes one at least."""
    line = line if len(line) <= width else line[:width] + "…"
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip() + "…"
