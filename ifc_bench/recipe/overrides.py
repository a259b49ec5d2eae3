"""Changes of single fields of a preset, given as text: "optimisation.learning_rate=5e-5"."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from ifc_bench.config import Strict
from ifc_bench.errors import UserError
from ifc_bench.recipe.preset import Preset

_ROOTS = {
    "model": ("model",),
    "optimisation": ("video", "optimisation"),
    "testing": ("video", "testing"),
    "image.optimisation": ("image", "optimisation"),
    "image.testing": ("image", "testing"),
}


def overridden(preset: Preset, given: Sequence[str]) -> Preset:
    """Change the fields of `preset` that `given` names, each as FIELD=VALUE.

    A field is a path such as `model.queries`, `optimisation.loss.dice`, `testing.stride` or
    `image.optimisation.clips`; the value is JSON, or text.

    Raises:
        UserError: if there is no such field, or the value is not valid.
    """
    fields = [text.partition("=")[0] for text in given]
    for stage in ("", "image."):
        length, drops = f"{stage}optimisation.iterations", f"{stage}optimisation.drop_at"
        if length in fields and drops not in fields:
            option = "--image-iterations" if stage else "--iterations"
            raise UserError(
                f"--set: {length}: the drops of the learning rate would stay where they are; use "
                f"{option}, which scales them, or set {drops} as well"
            )
    if "model.classes" in fields:
        raise UserError("--set: model.classes: the classes are those of the data")
    for text in given:
        field, equals, value = text.partition("=")
        root = next((r for r in sorted(_ROOTS, reverse=True) if field.startswith(f"{r}.")), None)
        if not equals or root is None:
            raise UserError(
                f"--set: {text[:60]!r} is not FIELD=VALUE with a field of {', '.join(_ROOTS)}, as "
                "in optimisation.learning_rate=5e-5"
            )
        path = (*_ROOTS[root], *field.removeprefix(f"{root}.").split("."))
        preset = _changed(preset, path, _value(value), text)
    return preset


def _changed(whole: Any, path: Sequence[str], value: object, text: str) -> Any:
    """Copy `whole` with the field at `path` changed, and validate what contains it."""
    name, *rest = path
    fields = type(whole).model_fields
    if name not in fields:
        raise UserError(f"--set: {text[:60]!r}: no field {name!r}; there are {', '.join(fields)}")
    if rest:
        inner = getattr(whole, name)
        if not isinstance(inner, Strict):
            raise UserError(f"--set: {text[:60]!r}: {name!r} has no fields")
        return whole.model_copy(update={name: _changed(inner, rest, value, text)})
    fresh = {**whole.model_dump(mode="json"), name: value}
    try:
        changed = type(whole).model_validate_json(json.dumps(fresh))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise UserError(f"--set: {text[:60]!r}: {fault['msg']}") from None
    found = getattr(changed, name)
    if isinstance(found, float) and not math.isfinite(found):
        raise UserError(f"--set: {text[:60]!r}: Input should be a finite number")
    return changed


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
