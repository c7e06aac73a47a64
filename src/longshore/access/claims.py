"""What the claims of an issuer say of a principal, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from longshore.access.errors import Refused
from longshore.access.fields import is_name
from longshore.access.issuers import Issuer
from longshore.access.jwts import Claims, listed
from longshore.core.principals import ANY, Principal, with_implied


def principal(claims: Claims, issuer: Issuer) -> Principal:
    """Return whom claims are about. Raises `Refused`.

    Who has no role of ours is known all the same, and may do nothing.
    """
    subject = claims.get(issuer.subject)
    name = f"{issuer.name}:{subject}"
    if not isinstance(subject, str) or not subject or not is_name(name):
        raise Refused("unusable_subject")
    roles = (issuer.roles.get(word) for word in listed(_found(claims, issuer.role_claim)))
    return Principal(
        name,
        with_implied(role for role in roles if role),
        _tenants(claims, issuer),
        issuer.grants,
        issuer.queues,
        issuer.delivery,
    )


def _tenants(claims: Claims, issuer: Issuer) -> tuple[str, ...]:
    """Return the tenants in the order of the claim, as far as the issuer may speak of them."""
    if issuer.tenant_claim is None:
        return issuer.tenants
    wanted = dict.fromkeys(listed(_found(claims, issuer.tenant_claim)))
    permitted = [
        one
        for one in wanted
        if is_name(one) and (one in issuer.tenants or ANY in issuer.tenants)
    ]
    if not permitted:
        raise Refused("no_tenant")
    return tuple(permitted)


def _found(claims: Claims, path: str) -> object:
    """Return a claim by its name, or by a path through objects; None if there is none."""
    if path in claims:  # Many claims have URLs for names, with dots in them.
        return claims[path]
    found: object = claims
    for step in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = cast("Mapping[str, object]", found).get(step)
    return found
