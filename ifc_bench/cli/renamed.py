"""Old spellings of options: each is refused with one line that names the new one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_MEASURING = ("profile", "fit", "flops", "diagram")
_TESTING = ("run", "plan", "report", "significance", "predict", "attention")
_OPTIONS: dict[tuple[str, ...], dict[str, str]] = {
    _MEASURING: {"--frames": "--window", "--size": "--frame-size"},
    _TESTING: {"--size": "--short-edge"},
    ("profile",): {"--length": "--video-length"},
    ("synthesize",): {"--frames": "--video-length"},
    ("validate",): {"--no-frames": "--annotations-only"},
    ("compare",): {"--threshold": "--margin"},
}
_VALUES = {
    "--precision": {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"},
}


def new_spelling(given: Sequence[str]) -> str | None:
    """The message for the first old spelling in `given`; None where there is none."""
    if "submit" in given[:1]:
        return "submit has gone: the servers are closed; data validate --predictions checks a file"
    for commands, options in _OPTIONS.items():
        if not set(commands) & set(given[:2]):
            continue
        for text in given:
            name = text.partition("=")[0]
            if name in options:
                return f"{name} is called {options[name]} now"
    for before, value in _pairs(given):
        new = _VALUES.get(before, {}).get(value)
        if new is not None:
            return f"{before} {value} is called {before} {new} now"
    return None


def _pairs(given: Sequence[str]) -> list[tuple[str, str]]:
    """Options with their values, as `--name value` or `--name=value`."""
    found = list(pairwise(given))
    for text in given:
        name, equals, value = text.partition("=")
        if equals:
            found.append((name, value))
    return found
