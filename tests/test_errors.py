"""What is printed as an error: no control characters, short values, and the system's own errors."""

import errno

import pytest

from ifc_bench.errors import printable, printable_message, told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é and 漢字", "plain text, é and 漢字"),
        ("\x1b[31mred\x07\r\n", r"\x1b[31mred\x07\r\n"),
        ("a\0b\x7f\x9b", r"a\x00b\x7f\x9b"),
        ("file\udcff", r"file\udcff"),
        ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


def test_a_long_value_loses_its_middle():
    shown = printable("a" * 3000 + "b" * 2000, 60)
    assert len(shown) == 60
    assert shown.startswith("aaa")
    assert shown.endswith("bbb")
    assert "a...b" in shown
    assert printable("a" * 60, 60) == "a" * 60


@pytest.mark.parametrize("value", ["x" * 5000, "x y " * 1250, "\x1b" * 5000])
def test_a_message_stays_short_and_keeps_its_ends(value):
    shown = printable_message(f"--option: {value!r} is no word; name another")
    assert len(shown) <= 480
    assert shown.startswith("--option: '")
    assert shown.endswith("is no word; name another")


def test_a_long_path_is_whole_and_lists_are_cut():
    path = "/" + "folder/" * 20 + "file.json"
    assert printable_message(f"{path}: no such file") == f"{path}: no such file"
    assert len(printable_message(f"7 is not among {', '.join(map(str, range(2000)))}")) <= 480


def test_an_error_of_the_system_names_its_file_or_says_that_it_has_none():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert told(full) is not None
    assert "no space left on device" in (told(full) or "")
    named = OSError(errno.EACCES, "Permission denied", "/some/file")
    assert (told(named) or "").startswith("/some/file: permission denied; ")
    assert told(OSError("image file is truncated")) is None, "no error of the system"
