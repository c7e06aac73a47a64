"""Contracts: between the message that callers see and the document that is kept."""

from __future__ import annotations

from functools import lru_cache

from longshore.core.installation import Contract as Kept
from longshore.v1.catalog_service_pb2 import Contract


@lru_cache(maxsize=1_024)
def contract_of(kept: Kept) -> Contract:
    """Return a kept contract, with the versions of its templates; nobody may change it."""
    contract = Contract.FromString(kept.document)
    for action in contract.actions:
        version = kept.template(action.name)
        if version is not None:
            action.template.id = version.id
            action.template.revision = version.revision
    return contract
