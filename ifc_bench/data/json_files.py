"""Reads JSON that other programs wrote, and shows values of it in messages. No torch."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ifc_bench.errors import UserError, refuse_irregular

_SHOWN = 60  # characters of a value


def read_json(path: Path) -> Any:
    """The JSON value in `path`; `UserError` where there is none."""
    try:
        refuse_irregular(path)
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file ({error.reason}); expected JSON") from None
    return parse_json(text, path)


def parse_json(text: str, path: Path) -> Any:
    """The JSON value of `text`, which came from `path`; a byte order mark is passed over.

    Raises:
        UserError: where it is no JSON, or an object has a key twice, of which one would be lost.
    """
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_object)
    except RecursionError:
        raise UserError(f"{path}: is nested too deeply to be such a file") from None
    except _RepeatedKeyError as error:
        raise UserError(
            f"{path}: key {shown(error.key)} occurs twice in one object; leave one of the two"
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno} column {error.colno}: not valid JSON ({error.msg}); "
            "the file may be cut off, fetch or write it again"
        ) from None
    except ValueError:
        most = sys.get_int_max_str_digits()
        raise UserError(
            f"{path}: holds a number of more than {most} digits; the file is damaged, fetch or "
            "write it again"
        ) from None


class _RepeatedKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKeyError(next(key for key in found if keys.count(key) > 1))
    return found


@contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the garbage collector off while a file becomes many objects: none of them is garbage."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def shown(value: object) -> str:
    """The beginning of `value` as JSON, on one line and cut after about 60 characters."""
    text = ""
    for part in json.JSONEncoder(default=str).iterencode(value):  # lazy: values may be very large
        text += part
        if len(text) > _SHOWN:
            return f"{text[: _SHOWN - 3]}..."
    return text
