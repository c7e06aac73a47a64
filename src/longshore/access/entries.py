"""A principal as the file says it, with what it proves itself by."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from longshore.access.fields import (
    ActionName,
    CertificateName,
    DeliveryName,
    ParameterPath,
    PasswordHash,
    Plain,
    PrincipalName,
    RoleName,
    SecretHash,
    Time,
    TokenId,
    action,
    parameter,
)
from longshore.core.principals import (
    ANY,
    DEFAULT_TENANT,
    Delivery,
    Grants,
    Principal,
    with_implied,
)


class Section(BaseModel):
    """A table of the file: frozen, without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Rights(Section):
    """What principals may do besides their roles: said of one, or of all of an issuer."""

    tenants: Annotated[tuple[Plain, ...], Field(min_length=1)] = (DEFAULT_TENANT,)
    actions: tuple[ActionName, ...] = (ANY,)
    queues: tuple[Plain, ...] = ()
    values: dict[ParameterPath, tuple[str, ...]] = {}
    delivery: DeliveryName = Delivery.NONE

    @property
    def grants(self) -> Grants:
        return Grants(
            tuple(map(action, self.actions)),
            tuple((parameter(name), frozenset(some)) for name, some in self.values.items()),
        )


class ConfiguredToken(Section):
    """A token of a principal."""

    id: TokenId
    hash: SecretHash = Field(repr=False)
    created: Time
    expires: Time | None = None


class ConfiguredPrincipal(Rights):
    """A principal of the file."""

    name: PrincipalName
    roles: Annotated[tuple[RoleName, ...], Field(min_length=1)]
    stream: Plain | None = None
    go_between: StrictBool = False
    password: PasswordHash | None = Field(None, repr=False)
    certificates: tuple[CertificateName, ...] = ()
    api_key: SecretHash | None = Field(None, repr=False)
    tokens: tuple[ConfiguredToken, ...] = ()

    @property
    def principal(self) -> Principal:
        return Principal(
            self.name,
            with_implied(self.roles),
            self.tenants,
            self.grants,
            self.queues,
            self.delivery,
            self.stream or "",
            self.go_between,
        )
