"""The directory: what workers offer, in the form in which submits are checked against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from longshore.core.installation import BUILT_IN_QUEUES
from longshore.core.store import Catalog
from longshore.engine.catalog import CatalogCache
from longshore.server.contracts import contract_of
from longshore.server.parameters import Table
from longshore.server.tracing import Marked
from longshore.v1.catalog_service_pb2 import Contract, Service

_UNNAMED: Final = "/"  #: No service's slug has a slash.


def unnamed_slug(action: str) -> str:
    """Return under what an action is kept that belongs to no service."""
    return _UNNAMED + action


@lru_cache(maxsize=1_024)
def service_of(document: bytes) -> Service:
    """Return a published service; nobody may change it."""
    return Service.FromString(document)


@lru_cache(maxsize=1_024)
def _tables(document: bytes) -> Mapping[str, Table]:
    return {action.slug: Table(action) for action in service_of(document).actions}


class Offers(NamedTuple):
    """What a tenant's workers have ever offered."""

    services: Mapping[str, Service]
    #: By service and action; under the empty service those of all services.
    actions: Mapping[tuple[str, str], tuple[Table, ...]]
    queues: frozenset[str]
    passwords: Marked  #: Parameters that are passwords.
    files: Marked  #: Parameters that take files.

    @classmethod
    def of(cls, catalog: Catalog, tenant: str) -> Offers:
        documents = {
            slug: document
            for (owner, slug), document in sorted(catalog.services.items())
            if owner == tenant
        }
        queues = {queue for owner, queue in catalog.queues if owner == tenant}
        actions = _by_service_and_action(documents)
        return cls(
            services_of(documents),
            actions,
            BUILT_IN_QUEUES | queues,
            _marked(actions, lambda table: table.passwords),
            _marked(actions, lambda table: table.files),
        )


def services_of(documents: Mapping[str, bytes]) -> dict[str, Service]:
    """Return services by slug; actions that belong to none are those of the service ""."""
    unnamed = Service()
    services: dict[str, Service] = {}
    for slug, document in documents.items():
        if slug.startswith(_UNNAMED):
            unnamed.actions.extend(service_of(document).actions)
        else:
            services[slug] = service_of(document)
    return {"": unnamed, **services} if unnamed.actions else services


def _by_service_and_action(
    documents: Mapping[str, bytes],
) -> dict[tuple[str, str], tuple[Table, ...]]:
    actions: dict[tuple[str, str], tuple[Table, ...]] = {}
    for kept_as, document in documents.items():
        slug = "" if kept_as.startswith(_UNNAMED) else kept_as
        for action, table in _tables(document).items():
            for service in {slug, ""}:
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
        self._offers: dict[str, Offers] = {}

    def offers(self, tenant: str) -> Offers:
        """Return what a tenant's workers have ever offered."""
        current = self._catalog.current
        if current is not self._seen:
            if (
                current.services is not self._seen.services
                or current.queues is not self._seen.queues
            ):
                self._offers = {}
            self._seen = current
        found = self._offers.get(tenant)
        if found is None:
            found = self._offers[tenant] = Offers.of(current, tenant)
        return found

    def contract(self, tenant: str, name: str) -> Contract | None:
        """Return a tenant's contract; nobody may change it."""
        kept = self._catalog.current.contracts.get((tenant, name))
        return None if kept is None else contract_of(kept)
