"""Networks of the user, "package.module:factory": found and imported like communication modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from ifc_bench.config import OwnNetwork
from ifc_bench.errors import UserError
from ifc_bench.models.own import digest_of, let_import, load_named, refuse_missing

FIELD = "--model"


def own_network(source: str, instances: int = 10) -> OwnNetwork:
    """Create the configuration of "package.module:factory", with the hash of its source file.

    The factory is imported only where the network is built. `instances` are given to the tracker.

    Raises:
        UserError: if `source` does not have this form, Python finds no such module, or the module
            has no such factory.
    """
    try:
        digest = digest_of(source, FIELD)
        own = OwnNetwork(source=source, sha256=digest, instances=instances)
    except ValidationError as error:
        raise UserError(
            f"{FIELD}: {source[:60]!r} is not a package.module:factory, or instances are not "
            "positive"
        ) from error
    refuse_missing(source, FIELD, "factory")
    let_import([source])
    return own


def load_factory(own: OwnNetwork) -> Callable[..., Any]:
    """Import the factory that `own` names.

    Raises:
        UserError: if the user did not name it in this process, its code has changed since, or it
            cannot be called. Errors of the user's module itself are raised as they are.
    """
    naming = f"{FIELD} {own.source} (own_network in Python)"
    factory = load_named(own.source, own.sha256, FIELD, naming)
    if not callable(factory):
        raise UserError(
            f"{FIELD}: {own.source!r} is no function or class; name one that returns the network"
        )
    made: Callable[..., Any] = factory
    return made
