"""An issuer of JSON Web Tokens as the file says it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import Field, ValidationInfo, field_validator

from longshore.access.entries import Rights
from longshore.access.fields import Plain, PrincipalName, RoleName, check_url

#: Signatures with a public key only: whoever checks cannot sign.
Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]


class Issuer(Rights):
    """Whose JSON Web Tokens are believed, and what their claims mean."""

    name: PrincipalName  #: Its principals are called `NAME:SUBJECT`.
    issuer: Annotated[str, Field(min_length=1)]  #: The claim `iss`.
    audience: Annotated[str, Field(min_length=1)]  #: What must be among the claim `aud`.
    keys: str | Path  #: A URL, or a file.
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    subject: Plain = "sub"  #: The claim that names the principal.
    role_claim: str  #: Where roles stand; dots lead into objects.
    roles: Annotated[dict[str, RoleName], Field(min_length=1)]  #: By what the claim says.
    tenant_claim: str | None = (
        None  #: Where tenants stand; None: it may speak of all `tenants`.
    )

    @property
    def speaks(self) -> str:
        """What no two issuers may have in common."""
        return f"{self.issuer} for {self.audience}"

    @field_validator("keys", mode="after")
    @classmethod
    def _keys(cls, keys: str | Path, info: ValidationInfo) -> str | Path:
        """Return the URL, or the file that is meant from the folder of the one that names it."""
        if isinstance(keys, str) and "://" in keys:
            check_url(keys)
            return keys
        if not str(keys):
            raise ValueError("must not be empty")
        return cast("dict[str, Path]", info.context)["folder"] / keys
