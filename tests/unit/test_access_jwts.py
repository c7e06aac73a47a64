from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.access.authorities import Authority, FixedKeys
from longshore.access.errors import Refused
from longshore.access.issuers import Issuer
from longshore.access.jwts import is_jwt, peek
from longshore.access.keys import parse
from longshore.core.access import Identity
from longshore.core.principals import ANY, Principal, Role
from tests.tools.issuer import NOW, Signer, key_set

SIGNER = Signer()


def issuer(**told: Any) -> Issuer:
    usual: dict[str, Any] = {
        "name": "corp",
        "issuer": "https://id.example.org",
        "audience": "longshore",
        "keys": "https://id.example.org/keys",
        "role_claim": "roles",
        "roles": {"users": "submitter", "admins": "admin"},
    }
    return Issuer.model_validate({**usual, **told}, context={"folder": Path()})


async def identify(token: str, *signers: Signer, now: float = NOW, **told: Any) -> Identity:
    keys = parse(key_set(*(signers or (SIGNER,))))
    return await Authority(issuer(**told), FixedKeys(keys)).identify(peek(token), now)


async def reason(token: str, *signers: Signer, now: float = NOW, **told: Any) -> str:
    with pytest.raises(Refused) as refused:
        await identify(token, *signers, now=now, **told)
    return refused.value.reason


def put_together(header: object, payload: object, signature: bytes = b"x") -> str:
    texts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in texts)


async def test_who_is_named_by_a_token_is_a_principal_of_its_issuer() -> None:
    identity = await identify(SIGNER.sign())
    assert identity.principal == Principal("corp:ada", frozenset({Role.SUBMITTER, Role.VIEWER}))
    assert identity.expires == NOW + 630
    assert identity.credential.startswith("jwt corp one #")


ALGORITHMS = ["RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_every_kind_of_key_can_sign(algorithm: str) -> None:
    signer = Signer("k", algorithm)
    identity = await identify(signer.sign(), signer, algorithms=[algorithm])
    assert identity.principal.name == "corp:ada"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_signature_of_another_key_of_the_same_name_counts_nothing(
    algorithm: str,
) -> None:
    signer, thief = Signer("k", algorithm), Signer("k", algorithm)
    thief.private = Signer("stolen", algorithm).private
    assert await reason(thief.sign(), signer, algorithms=[algorithm]) == "wrong_signature"


@pytest.mark.parametrize("algorithm", ["RS512", "PS256", "ES384"])
async def test_an_algorithm_that_is_not_permitted_counts_nothing(algorithm: str) -> None:
    signer = Signer("k", algorithm)
    assert await reason(signer.sign(), signer) == "algorithm_not_permitted"


async def test_a_token_without_a_signature_counts_nothing() -> None:
    unsigned = jwt.encode({"iss": "https://id.example.org", "aud": "longshore"}, "", "none")
    assert not is_jwt(unsigned)
    for name in ("none", "None", "NONE"):
        token = put_together({"alg": name, "kid": "one"}, {"iss": "https://id.example.org"})
        assert await reason(token) == "algorithm_not_permitted"


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
async def test_a_public_key_is_no_secret_to_sign_with() -> None:
    signer = Signer("k", "RS256")
    forged = jwt.encode(
        {"iss": "https://id.example.org", "aud": "longshore", "exp": NOW + 9, "sub": "ada"},
        signer.jwk()["n"],
        algorithm="HS256",
        headers={"kid": "k"},
    )
    assert await reason(forged, signer) == "algorithm_not_permitted"


async def test_an_algorithm_is_for_the_keys_of_its_kind() -> None:
    elliptic = Signer("k", "ES256")
    forged = put_together({"alg": "RS256", "kid": "k"}, {"iss": "https://id.example.org"})
    assert await reason(forged, elliptic) == "unknown_key"


@pytest.mark.parametrize(
    "claims, expected",
    [
        ({"iss": "https://else.example.org"}, "malformed"),
        ({"aud": "others"}, "malformed"),
        ({"aud": None}, "malformed"),
        ({"exp": None}, "malformed"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": 10**400}, "malformed"),
        ({"exp": float("inf")}, "malformed"),
        ({"exp": float("nan")}, "malformed"),
        ({"exp": NOW - 30}, "expired"),
        ({"exp": 0}, "expired"),
        ({"nbf": NOW + 31}, "not_yet_valid"),
        ({"nbf": "now"}, "malformed"),
        ({"iat": NOW + 31}, "not_yet_valid"),
        ({"sub": None}, "unusable_subject"),
        ({"sub": ""}, "unusable_subject"),
        ({"sub": "a" * 59}, "unusable_subject"),
        ({"sub": "a\nb"}, "unusable_subject"),
        ({"sub": "a\u202eb"}, "unusable_subject"),
        ({"sub": "\ud800"}, "unusable_subject"),
    ],
)
async def test_claims_that_do_not_fit_count_nothing(
    claims: dict[str, Any], expected: str
) -> None:
    assert await reason(SIGNER.sign(None, **claims)) == expected


async def test_a_subject_that_is_no_text_counts_nothing() -> None:
    assert await reason(SIGNER.sign(uid=5), subject="uid") == "unusable_subject"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 29},
        {"nbf": NOW + 30},
        {"iat": NOW + 30},
        {"aud": ["others", "longshore"]},
        {"sub": "a" * 58},
    ],
)
async def test_clocks_may_differ_a_little(claims: dict[str, Any]) -> None:
    assert await identify(SIGNER.sign(None, **claims))


async def test_another_claim_can_name_the_principal() -> None:
    identity = await identify(SIGNER.sign(email="ada@example.org", sub="5"), subject="email")
    assert identity.principal.name == "corp:ada@example.org"


@pytest.mark.parametrize(
    "claims, path",
    [
        ({"roles": ["guests", "admins"]}, "roles"),
        ({"roles": "admins"}, "roles"),
        ({"scope": "openid admins profile"}, "scope"),
        ({"realm_access": {"roles": ["admins"]}}, "realm_access.roles"),
        ({"https://example.org/roles": ["admins"]}, "https://example.org/roles"),
    ],
)
async def test_roles_come_from_wherever_the_issuer_writes_them(
    claims: dict[str, Any], path: str
) -> None:
    identity = await identify(SIGNER.sign(None, **claims), role_claim=path)
    assert identity.principal.roles == frozenset(Role)


@pytest.mark.parametrize("claim", [None, [], "", 5, {}, ["guests"], [["admins"]], "admin"])
async def test_who_has_no_role_of_ours_is_known_and_may_do_nothing(claim: object) -> None:
    identity = await identify(SIGNER.sign(roles=claim))
    assert identity.principal.roles == frozenset()


@pytest.mark.parametrize("path", ["roles.x", "x.roles", ".", ""])
async def test_a_path_that_leads_nowhere_finds_no_role(path: str) -> None:
    identity = await identify(SIGNER.sign(), role_claim=path)
    assert identity.principal.roles == frozenset()


@pytest.mark.parametrize(
    "claim, permitted, tenants",
    [
        (["south", "east", "north"], ["north", "south"], ("south", "north")),
        ("south", ["north", "south"], ("south",)),
        (["anywhere"], [ANY], ("anywhere",)),
        ([ANY], [ANY], (ANY,)),
        ([ANY, "north"], ["north"], ("north",)),
    ],
)
async def test_tenants_are_those_of_the_claim_that_the_issuer_may_speak_of(
    claim: object, permitted: list[str], tenants: tuple[str, ...]
) -> None:
    token = SIGNER.sign(org=claim)
    identity = await identify(token, tenant_claim="org", tenants=permitted)
    assert identity.principal.tenants == tenants


@pytest.mark.parametrize("claim", [None, [], "east", [ANY], ["a\nb"], 5])
async def test_without_a_tenant_nobody_is_let_in(claim: object) -> None:
    token = SIGNER.sign(org=claim)
    assert await reason(token, tenant_claim="org", tenants=["north"]) == "no_tenant"


async def test_without_a_claim_for_tenants_they_are_the_issuers() -> None:
    identity = await identify(SIGNER.sign(), tenants=["north", "south"])
    assert identity.principal.tenants == ("north", "south")


async def test_a_token_without_a_name_of_a_key_is_tried_with_all_that_fit() -> None:
    others = Signer("two"), Signer("three", "EdDSA"), SIGNER
    identity = await identify(SIGNER.sign({}), *others)
    assert identity.principal.name == "corp:ada"


async def test_a_key_without_a_name_checks_tokens_without_one() -> None:
    document = json.dumps({"keys": [{**SIGNER.jwk(), "kid": ""}]}).encode()
    authority = Authority(issuer(), FixedKeys(parse(document)))
    assert await authority.identify(peek(SIGNER.sign({})), NOW)


async def test_a_credential_stands_while_issuer_and_key_are_the_same() -> None:
    def stands(keys: bytes, **told: Any) -> bool:
        return Authority(issuer(**told), FixedKeys(parse(keys))).stands(credential)

    credential = (await identify(SIGNER.sign())).credential
    replaced = Signer("one")
    replaced.private = Signer("other").private
    assert stands(key_set(SIGNER))
    assert stands(key_set(Signer("two"), SIGNER))
    assert not stands(key_set(Signer("two")))
    assert not stands(key_set(replaced))
    assert not stands(key_set(SIGNER), roles={"users": "viewer"})


def test_keys_that_cannot_check_signatures_are_passed_over() -> None:
    listed = [
        5,
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        SIGNER.jwk(kid="for secrecy", use="enc"),
        SIGNER.jwk(kid="for others", alg="ES384"),
        SIGNER.jwk(kid=["odd"]),
        Signer("short", "RS256", bits=1024).jwk(),
        SIGNER.jwk(use="sig", alg="ES256"),
    ]
    assert [key.id for key in parse(json.dumps({"keys": listed}).encode())] == ["one"]


@pytest.mark.parametrize(
    "document, problem",
    [
        (b"", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is no set of keys"),
        (b'{"keys": 5}', "is no set of keys"),
        (b"5", "is no set of keys"),
        (b'{"keys": []}', "has no public key"),
        (b'{"keys": {"kty": "EC"}}', "has no public key"),
    ],
)
def test_what_is_no_set_of_keys_says_so(document: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": JSON | st.just("ES256"),
        "kid": JSON | st.just("one"),
        "crit": JSON,
        "b64": JSON,
    },
)
CLAIMS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("iss", "aud", "exp", "nbf", "iat", "sub", "roles", "org"), JSON),
)


@settings(deadline=None)
@given(HEADERS | JSON, CLAIMS | JSON, st.binary())
async def test_whatever_strangers_sign_is_refused(
    header: object, payload: object, signature: bytes
) -> None:
    token = put_together(header, payload, signature)
    with pytest.raises(Refused):
        await identify(token)


@settings(deadline=None)
@given(CLAIMS)
async def test_whatever_an_issuer_signs_is_a_principal_or_refused(
    claims: dict[str, Any],
) -> None:
    private: Any = SIGNER.private
    header = {"alg": "ES256", "kid": "one"}
    claims = {"iss": "https://id.example.org", "aud": "longshore", "exp": NOW, **claims}
    token = jwt.api_jws.encode(json.dumps(claims).encode(), private, "ES256", header)
    try:
        identity = await identify(token, tenant_claim="org")
    except Refused:
        return
    assert identity.principal.tenants
