"""Frames that are no images, images that are no frames, and what must not be run."""

import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from ifc_bench.data.frames import FrameFolder, read_frame
from ifc_bench.data.validation import data_faults
from ifc_bench.errors import UserError
from tests.conftest import one_line_error, run_cli

SIZE = (32, 48)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes, width: int = 48, height: int = 32) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


PIXELS = chunk(b"IDAT", zlib.compress(bytes(32 * (1 + 3 * 48)))) + chunk(b"IEND", b"")
HALF = chunk(b"IDAT", zlib.compress(bytes(32 * (1 + 3 * 48)))[:20])
TEXT = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(80_000_000)))

BROKEN = {
    "empty": b"",
    "text": b"<svg/>",
    "cut off": png(PIXELS[:20]),
    "a chunk of no name among the pixels": png(HALF, bytes(3), b"\5", bytes(4), b"abcd"),
    "a checksum that is wrong": png(PIXELS[:-20] + bytes(20)),
    "a short header": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"\0" * 5) + PIXELS,
    "80 MB of text": png(TEXT, PIXELS),
    "2**31 pixels wide": png(PIXELS, width=2**31 - 1, height=2**31 - 1),
    "16,000 pixels wide": png(PIXELS, width=16_000, height=16_000),
    "no pixels wide": png(PIXELS, width=0, height=0),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_image_is_one_line(content, tmp_path):
    path = tmp_path / "0.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a readable image") as caught:
        read_frame(path, SIZE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP"])
def test_images_are_known_by_content_and_not_by_ending(format, tmp_path):
    path = tmp_path / "0.jpg"
    Image.new("RGB", (48, 32), "white").save(path, format=format)
    assert np.array_equal(read_frame(path, SIZE), np.full((32, 48, 3), 255))


@pytest.mark.parametrize("format", ["GIF", "TIFF", "PPM", "ICO"])
def test_images_of_other_formats_are_refused(format, tmp_path):
    path = tmp_path / "0.jpg"
    Image.new("RGB", (48, 32)).save(path, format=format)
    with pytest.raises(UserError, match="not a readable image of JPEG, PNG, WEBP, BMP"):
        read_frame(path, SIZE)


def test_a_frame_of_100_million_pixels_is_told_without_a_warning(copy_of_data, tmp_path):
    frame = copy_of_data / "JPEGImages" / "00000" / "00000.jpg"
    frame.write_bytes(png(PIXELS, width=10_000, height=10_000))
    done = run_cli("visualize", f"--data={copy_of_data}", f"--out={tmp_path / 'p'}", "--video=1")
    line = one_line_error(done)
    assert f"{frame}: is 10000x10000, the annotations say 32x48" in line


def test_postscript_is_not_run(copy_of_data, tmp_path, monkeypatch):
    """Pillow hands an EPS file to the program `gs`, which is another one here."""
    from PIL import EpsImagePlugin

    programs, mark = tmp_path / "programs", tmp_path / "was run"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    frame = copy_of_data / "JPEGImages" / "00000" / "00000.jpg"
    frame.write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 32\n%%EndComments\nshowpage\n"
    )
    [fault] = data_faults(copy_of_data / "instances.json", copy_of_data / "JPEGImages")
    assert "not a readable image" in fault
    assert not mark.exists()


def link_to_itself(path):
    path.symlink_to(path)
    return path.name


PLACES = {
    "a link to itself": (link_to_itself, "Symlink loop|is missing|too many levels"),
    "nothing": (lambda path: path.name, "is missing"),
    "a folder": (lambda path: path.mkdir() or path.name, "is missing"),
    "a pipe": (lambda path: os.mkfifo(path) or path.name, "is missing"),
    "a name that is too long": (lambda path: "a" * 300, "ile name too long"),
    "a path that is too long": (lambda path: "a/" * 3000, "ile name too long"),
    "a name of no file": (lambda path: "a\0b", "null byte|null character"),
    "a way up": (lambda path: "../0.jpg", "leads out of"),
    "a link that leads out": (lambda path: path.symlink_to("/etc") or path.name, "leads out of"),
}


@pytest.mark.parametrize(("make", "message"), PLACES.values(), ids=PLACES.keys())
def test_places_that_hold_no_frame_are_one_line(make, message, tmp_path):
    images = tmp_path / "JPEGImages"
    images.mkdir()
    name = make(images / "0.jpg")
    with pytest.raises(UserError, match=message) as caught:
        FrameFolder(images).present(name, "instances.json: video 1")
    assert str(caught.value).startswith("instances.json: video 1: ")
    assert len(str(caught.value)) < 400 + 2 * len(str(images))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_frames_are_turned_as_their_exif_orientation_says(orientation, name, tmp_path):
    """As a phone stores them; the annotations are of the frame as it is seen."""
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:8, :8, 0], upright[:8, 8:, 1] = 250, 250
    back = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)  # what stores it so
    exif, turn = Image.Exif(), Image.Exif()
    exif[274], turn[274] = orientation, back
    stored = Image.fromarray(upright)
    stored.getexif().update(turn)
    stored = ImageOps.exif_transpose(stored)
    stored.save(tmp_path / name, exif=exif.tobytes(), quality=95, subsampling=0)
    assert stored.size == ((24, 16) if orientation >= 5 else (16, 24))
    found = read_frame(tmp_path / name, (24, 16)).astype(int)
    assert np.abs(found - upright).max() < 90
    assert np.abs(found - upright).mean() < 3
    if orientation >= 5:
        with pytest.raises(UserError, match="is 24x16, the annotations say 16x24"):
            read_frame(tmp_path / name, (16, 24))
