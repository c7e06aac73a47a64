"""The directory: what workers offer, in the form in which submits are checked against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from longshore.core.installation import BUILT_IN_QUEUES
from longshore.core.principals import EVERYTHING, Grants
from longshore.core.store import Catalog
from longshore.engine.catalog import CatalogCache
from longshore.server.confined import Confined, Values, confined
from longshore.server.contracts import contract_of
from longshore.server.parameters import Table
from longshore.server.tracing import Marked
from longshore.v1.catalog_service_pb2 import Contract, Service, ServiceAction

_UNNAMED: Final = "/"  #: No service's slug has a slash.


def unnamed_slug(action: str) -> str:
    """Return under what an action is kept that belongs to no service."""
    return _UNNAMED + action


@lru_cache(maxsize=1_024)
def service_of(document: bytes) -> Service:
    """Return a published service; nobody may change it."""
    return Service.FromString(document)


@lru_cache(maxsize=1_024)
def _tables(document: bytes, asked_as: str, values: Values) -> Mapping[str, Table]:
    """Return tables by action, of what is asked for with the slug of its service or without."""
    return {
        action.slug: Table(action, confined(asked_as, action.slug, values))
        for action in service_of(document).actions
    }


@lru_cache(maxsize=1_024)
def _granted(document: bytes, slug: str, grants: Grants) -> Service | None:
    """Return a service as somebody is shown it; None if none of its actions is granted."""
    service = service_of(document)
    if grants == EVERYTHING:
        return service
    shown = Service()
    shown.CopyFrom(service)
    for index in reversed(range(len(shown.actions))):
        action = shown.actions[index]
        if not grants.permits(slug, action.slug):
            del shown.actions[index]
            continue
        _cut(action, confined(slug, action.slug, grants.values))
    return shown if shown.actions or not service.actions else None


def _cut(action: ServiceAction, allowed: Confined) -> None:
    """Leave of an action's parameters what somebody may send; what has no value left, goes."""
    for index in reversed(range(len(action.parameters))):
        parameter = action.parameters[index]
        values = allowed.get(parameter.slug)
        if values is None:
            continue
        parameter.values[:] = sorted(values.intersection(parameter.values or values))
        if not parameter.values:
            del action.parameters[index]


class Offers(NamedTuple):
    """What a tenant's workers have ever offered."""

    services: Mapping[str, Service]
    #: By service and action; under the empty service those of all services.
    actions: Mapping[tuple[str, str], tuple[Table, ...]]
    queues: frozenset[str]
    passwords: Marked  #: Parameters that are passwords.
    files: Marked  #: Parameters that take files.

    grants: Grants = EVERYTHING  #: Of whoever asks.

    @classmethod
    def of(cls, catalog: Catalog, tenant: str, grants: Grants = EVERYTHING) -> Offers:
        """Return what somebody of a tenant can ask for."""
        documents = {
            slug: document
            for (owner, slug), document in sorted(catalog.services.items())
            if owner == tenant
        }
        queues = {queue for owner, queue in catalog.queues if owner == tenant}
        actions = _by_service_and_action(documents, grants)
        return cls(
            services_of(documents, grants),
            actions,
            BUILT_IN_QUEUES | queues,
            _marked(actions, lambda table: table.passwords),
            _marked(actions, lambda table: table.files),
            grants,
        )


def services_of(
    documents: Mapping[str, bytes], grants: Grants = EVERYTHING
) -> dict[str, Service]:
    """Return services by slug; actions that belong to none are those of the service ""."""
    unnamed = Service()
    services: dict[str, Service] = {}
    for kept_as, document in documents.items():
        slug = _slug(kept_as)
        shown = _granted(document, slug, grants)
        if shown is None:
            continue
        if slug:
            services[slug] = shown
        else:
            unnamed.actions.extend(shown.actions)
    return {"": unnamed, **services} if unnamed.actions else services


def _slug(kept_as: str) -> str:
    return "" if kept_as.startswith(_UNNAMED) else kept_as


def _by_service_and_action(
    documents: Mapping[str, bytes], grants: Grants
) -> dict[tuple[str, str], tuple[Table, ...]]:
    actions: dict[tuple[str, str], tuple[Table, ...]] = {}
    for kept_as, document in documents.items():
        for service in {_slug(kept_as), ""}:
            asked_as = service if grants.values else ""
            for action, table in _tables(document, asked_as, grants.values).items():
                if grants.permits(service, action):
                    key = (service, action)
                    actions[key] = (*actions.get(key, ()), table)
    return actions


def _marked(
    actions: Mapping[tuple[str, str], Iterable[Table]], names: Callable[[Table], frozenset[str]]
) -> Marked:
    found = {
        key: frozenset(name for table in tables for name in names(table))
        for key, tables in actions.items()
    }
    return {key: some for key, some in found.items() if some}


class Directory:
    """What submits can name; offers are compiled anew when the catalog has changed."""

    def __init__(self, catalog: CatalogCache) -> None:
        self._catalog = catalog
        self._seen = catalog.current
        self._offers: dict[tuple[str, Grants], Offers] = {}

    def offers(self, tenant: str, grants: Grants = EVERYTHING) -> Offers:
        """Return what a tenant's workers have ever offered, as far as it is granted."""
        current = self._catalog.current
        if current is not self._seen:
            if (
                current.services is not self._seen.services
                or current.queues is not self._seen.queues
            ):
                self._offers = {}
            self._seen = current
        found = self._offers.get((tenant, grants))
        if found is None:
            found = self._offers[tenant, grants] = Offers.of(current, tenant, grants)
        return found

    def contract(self, tenant: str, name: str) -> Contract | None:
        """Return a tenant's contract; nobody may change it."""
        kept = self._catalog.current.contracts.get((tenant, name))
        return None if kept is None else contract_of(kept)
