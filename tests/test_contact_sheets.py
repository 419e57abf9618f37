"""rig.contact_sheets: frames in rows, as one picture."""

import numpy as np
import pytest
from PIL import Image, ImageFont

from rig.contact_sheets import cut_line, wrapped, write_sheet


def frame(shade, height=128, width=128):
    return np.full((height, width, 3), shade, dtype=np.uint8)


def test_without_lines_frames_stand_side_by_side_pixel_by_pixel(tmp_path):
    rows = [[frame(10, 4, 6), frame(20, 4, 6)], [frame(30, 4, 6), frame(40, 4, 6)]]
    sheet = np.asarray(Image.open(write_sheet(tmp_path / "sheet.png", rows)))
    assert sheet.shape == (8, 12, 3)
    assert [sheet[1, 1, 0], sheet[1, 7, 0], sheet[5, 1, 0], sheet[5, 7, 0]] == [10, 20, 30, 40]


def test_a_line_stands_above_its_frame_and_is_cut_to_its_width(tmp_path):
    rows = [[frame(0), None], [frame(0), frame(0)]]
    sheet = np.asarray(Image.open(write_sheet(tmp_path / "sheet.png", rows, [["attack" * 40, ""], ["", "go"]])))
    dark = sheet[..., 0] < 128
    above = np.flatnonzero(~dark[:, 64:80].all(axis=1))[0]
    assert above == 0, "the first line is not painted over"
    top = int(np.flatnonzero(dark[:, :128].all(axis=1))[0])
    assert dark[:top, :128].any()
    assert not dark[:top, 128:].any(), "written above the first frame, and no wider"
    assert not dark[top : top + 128, 132:].any(), "an empty place stays empty"
    assert dark[top + 128 :, 132:].any()


def test_small_frames_are_enlarged_where_something_is_written_above_them(tmp_path):
    sheet = Image.open(write_sheet(tmp_path / "sheet.png", [[frame(0, 32, 48)]], [["noop"]]))
    assert sheet.width == 3 * 48


@pytest.mark.parametrize(
    ("rows", "lines"),
    [([[None]], []), ([[frame(0), frame(0, 64, 64)]], []), ([[frame(0)]], [["a"], ["b"]])],
)
def test_what_is_no_sheet_is_refused(tmp_path, rows, lines):
    with pytest.raises(ValueError, match="a sheet of frames"):
        write_sheet(tmp_path / "sheet.png", rows, lines)
    assert not list(tmp_path.iterdir())


def test_text_is_wrapped_to_a_width_with_its_numbers_kept_and_cut_where_there_is_no_room():
    font = ImageFont.load_default(20)
    text = "1. I see a tree. 2. I have 1 and want 2. 3. So go. " * 3
    lines = wrapped(text, font, 240, most=9)
    assert " ".join(lines) == text.strip()
    assert all(font.getlength(line) <= 240 for line in lines)
    assert not [line for line in lines if line.endswith((". 2.", ". 3."))]
    short = wrapped(text, font, 240, most=2)
    assert len(short) == 2
    assert short[-1].endswith("…")
    assert wrapped("", font, 240, most=2) == []


def test_a_word_of_a_hundred_thousand_letters_is_cut_at_once():
    font = ImageFont.load_default(20)
    assert wrapped("x" * 100_000 + " y", font, 240, most=3)[0].endswith("…")
    assert font.getlength(cut_line("é" * 100_000, font, 240)) <= 240
