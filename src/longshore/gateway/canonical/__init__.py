"""Canonical JSON: every method of the contract by its `google.api.http` annotation.

Bodies and answers are proto3 JSON: names in lowerCamelCase, fields without presence always there,
messages that are unset left out. Names that the contract does not have are refused. Streams are
newline-delimited JSON, or server-sent events for those who prefer these; files are also sent as
they are.
"""

from __future__ import annotations

from starlette.types import ASGIApp

from longshore.gateway.canonical.application import Canonical
from longshore.gateway.canonical.bindings import bindings
from longshore.gateway.canonical.faults import of_fault
from longshore.gateway.dialects import Gateway
from longshore.gateway.sites import OwnSite


def canonical_application(gateway: Gateway) -> ASGIApp:
    """Return what is at all paths: those that nothing is at are refused in the same shape."""
    canonical = Canonical(gateway, bindings())
    return OwnSite(canonical, gateway.links, lambda _, fault: of_fault(fault))
