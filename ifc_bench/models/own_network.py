"""Networks of the user, "package.module:factory": found and imported like communication modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from ifc_bench.config import OwnNetwork
from ifc_bench.errors import UserError
from ifc_bench.models.own import digest_of, imported, is_named, let_import, refuse_missing

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
    if not is_named(own.source):
        raise UserError(
            f"{FIELD}: this work measures your network {own.source!r}, which is imported only if "
            f"you name it: {FIELD} {own.source} (own_network in Python)"
        )
    if digest_of(own.source, FIELD) != own.sha256:
        raise UserError(
            f"{FIELD}: the code of {own.source!r} has changed since this work was defined; define "
            "it again with own_network, which gives new work"
        )
    name, _, wanted = own.source.partition(":")
    factory = getattr(imported(name, own.sha256), wanted, None)
    if not callable(factory):
        raise UserError(
            f"{FIELD}: {own.source!r} is no function or class; name one that returns the network"
        )
    return factory
