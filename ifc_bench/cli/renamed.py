"""Old names of options, which still work; a note names the new one."""

from __future__ import annotations

from collections.abc import Sequence

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
_VALUES = {"--precision": {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}}


def respelled(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Replace old names in `given`; returns the arguments, and a note for each old name."""
    options: dict[str, str] = {}
    for commands, renamed in _OPTIONS.items():
        if set(commands) & set(given[:2]):
            options |= renamed
    words: list[str] = []
    notes: list[str] = []
    for text in given:
        name, equals, value = text.partition("=")
        if name in options:
            notes.append(f"{name} is now called {options[name]}")
            name = options[name]
        before = name if equals else (words[-1] if words else "")
        old = value if equals else text
        new = _VALUES.get(before, {}).get(old)
        if new is not None:
            notes.append(f"{before} {old} is now called {before} {new}")
            name, value = (name, new) if equals else (new, value)
        words.append(f"{name}{equals}{value}")
    return words, list(dict.fromkeys(notes))
