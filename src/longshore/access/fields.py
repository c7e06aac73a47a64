"""What single keys of the file may hold, each rule said once.

Messages go to the operator and into the log: they repeat names, never hashes.
"""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Strict

from longshore.access import certificates, passwords, tokens
from longshore.core.installation import is_reserved
from longshore.core.limits import NAME_CHARACTERS
from longshore.core.principals import ANY, Delivery, ParameterName, Role

#: Whom a server may ask without TLS: itself.
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def is_name(text: str) -> bool:
    """Whether a text can name a principal, or something else for programs."""
    return 0 < len(text) <= NAME_CHARACTERS and text.isprintable()


def _plain(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"must be 1 to {NAME_CHARACTERS} printable characters")
    return text


def _principal_name(text: str) -> str:
    _plain(text)
    if ":" in text:
        raise ValueError(f"{text!r}: a colon is for principals of issuers")
    if text in ("anonymous", "longshore") or is_reserved(text):
        raise ValueError(f"{text!r} is reserved")
    return text


def _role(value: object) -> Role:
    try:
        return Role(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is no role; there are {', '.join(Role)}") from None


def _delivery(value: object) -> Delivery:
    try:
        return Delivery[str(value).upper()]
    except KeyError:
        known = ", ".join(one.name.lower() for one in Delivery)
        raise ValueError(f"{value!r} is no delivery; there are {known}") from None


def action(text: str) -> tuple[str, str]:
    """Return service and action of `SERVICE/ACTION`, `ACTION` or `*`. Raises `ValueError`."""
    if text == ANY:
        return ANY, ANY
    service, slash, name = text.rpartition("/")
    if "/" in service or not is_name(name) or (slash and not is_name(service)):
        raise ValueError(f"{text!r} is no action; write SERVICE/ACTION, ACTION or *")
    return service, name


def parameter(text: str) -> ParameterName:
    """Return what `SERVICE/ACTION/PARAMETER` names. Raises `ValueError`."""
    parts = text.split("/")
    if len(parts) != 3 or not all(is_name(part) for part in parts[not parts[0] :]):
        raise ValueError(
            f"{text!r} is no parameter; write SERVICE/ACTION/PARAMETER, "
            "or /ACTION/PARAMETER for actions of no service"
        )
    return ParameterName(*parts)


def _action(text: str) -> str:
    action(text)
    return text


def _parameter(text: str) -> str:
    parameter(text)
    return text


def _certificate(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return certificates.normal(text)


def _password(text: str) -> str:
    if not passwords.is_hash(text):
        raise ValueError("must be a hash of a password: $argon2id$…")
    return text


def _secret(text: str) -> str:
    if not tokens.is_hash(text):
        raise ValueError("must be a hash: sha256$SALT$DIGEST")
    return text


def _token_id(text: str) -> str:
    if not tokens.is_id(text):
        raise ValueError("must be 10 characters of a to z and 2 to 7")
    return text


def check_url(text: str) -> None:
    """Check where keys are fetched. Raises `ValueError`.

    Whoever can change keys on their way can be anybody, so they come by TLS, or do not travel.
    """
    try:
        parts = urlsplit(text)
        safe = parts.scheme == "https" and bool(parts.hostname)
        near = parts.scheme == "http" and parts.hostname in _LOOPBACK
        fits = (safe or near) and parts.port != 0 and text.isprintable() and " " not in text
        fits = fits and "@" not in parts.netloc  # Nobody would send the password.
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("must be an https URL, an http URL of this machine, or a file")


Plain = Annotated[str, AfterValidator(_plain)]
PrincipalName = Annotated[str, AfterValidator(_principal_name)]
RoleName = Annotated[Role, BeforeValidator(_role)]
DeliveryName = Annotated[Delivery, BeforeValidator(_delivery)]
ActionName = Annotated[str, AfterValidator(_action)]
ParameterPath = Annotated[str, AfterValidator(_parameter)]
CertificateName = Annotated[str, AfterValidator(_certificate)]
PasswordHash = Annotated[str, AfterValidator(_password)]
SecretHash = Annotated[str, AfterValidator(_secret)]
TokenId = Annotated[str, AfterValidator(_token_id)]
Time = Annotated[AwareDatetime, Strict()]
