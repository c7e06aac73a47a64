from __future__ import annotations

import base64
import re
from datetime import timedelta
from pathlib import Path

import pytest

from longshore.gateway.dataone.login import NotLoggedIn, Seal
from longshore.gateway.settings import GatewaySettings, InvalidSettings
from tests.gateway.museum import PASSWORD, PATH, asked, museum

LOGIN = "/ghibli-rest/v2/login"
KEY = "k" * 32
BASIC = f"Basic {base64.b64encode(f'jürgen:{PASSWORD}'.encode()).decode()}"
SETTINGS = GatewaySettings(dataone_login_key=KEY, dataone_login_lifetime=timedelta(hours=1))


def form(**fields: str) -> dict[str, str]:
    return {"username": "jürgen", "password": PASSWORD, **fields}


async def test_a_login_gives_a_bearer_token_for_the_same_user(tmp_path: Path) -> None:
    async with museum(tmp_path, SETTINGS) as here:
        http = here.world.http
        answer = await http.post(LOGIN, data=form())
        assert answer.status_code == 200
        token = answer.json()["access_token"]
        assert answer.json() == {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 3_600,
        }
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch(r"[A-Za-z0-9._~+/=-]+", token)
        assert "orse" not in str(base64.urlsafe_b64decode(token.removeprefix("lsl_")))
        for scheme in ("Bearer", "bearer"):
            headers = {"authorization": f"{scheme} {token}"}
            submitted = await http.post(PATH, json=asked(extIPID="x"), headers=headers)
            assert submitted.json()["submittedBy"] == "jürgen"
            assert (await http.get(PATH, headers=headers)).status_code == 200
        basic = await http.post(PATH, json=asked(extIPID="x"), headers={"authorization": BASIC})
        assert basic.status_code == 409
        multipart = await http.post(LOGIN, files={k: (None, v) for k, v in form().items()})
        assert multipart.status_code == 200


async def test_wrong_names_and_passwords_are_401(tmp_path: Path) -> None:
    async with museum(tmp_path, SETTINGS) as here:
        http = here.world.http
        for wrong in (
            form(password="wrong"),
            form(username="jürgen:x"),
            form(password="x" * 20_000),
        ):
            answer = await http.post(LOGIN, data=wrong)
            assert (answer.status_code, answer.json()["errorType"]) == (401, "authentication")
            assert answer.json()["result"] == "failed"


async def test_a_login_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    async with museum(tmp_path, SETTINGS) as here:
        http = here.world.http
        for fields in ({"username": "jürgen"}, {"password": "x"}, form(password="")):
            assert (await http.post(LOGIN, data=fields)).status_code == 400
        assert (await http.post(LOGIN, files={"username": ("a", b"x")})).status_code == 400
        assert (await http.post(LOGIN, json=form())).status_code == 415
        assert (await http.get(LOGIN)).status_code == 405


async def test_expired_and_foreign_tokens_are_401(tmp_path: Path) -> None:
    async with museum(tmp_path, SETTINGS) as here:
        hour = timedelta(hours=1)
        now = here.world.clock.now() / 1_000
        fresh = Seal(KEY, hour).token(BASIC)
        tokens = {
            fresh: 200,
            Seal(KEY, hour, lambda: now - 3_500).token(BASIC): 200,
            Seal(KEY, hour, lambda: now - 3_700).token(BASIC): 401,
            Seal("other" * 10, hour).token(BASIC): 401,
            f"{fresh[:-9]}AAAAAAA==": 401,
            "lsl_": 401,
            "lsl_!": 401,
        }
        for token, status in tokens.items():
            headers = {"authorization": f"Bearer {token}"}
            answer = await here.world.http.get(PATH, headers=headers)
            assert answer.status_code == status
            assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_without_a_key_there_is_no_login(tmp_path: Path) -> None:
    async with museum(tmp_path) as here:
        answer = await here.world.http.post(LOGIN, data=form())
        assert (answer.status_code, answer.json()["errorType"]) == (404, "not_found")
        headers = {"authorization": f"Bearer {Seal(KEY, timedelta(hours=1)).token(BASIC)}"}
        assert (await here.world.http.get(PATH, headers=headers)).status_code == 401


def test_a_key_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="dataone_login_key"):
        Seal("secret", timedelta(hours=1))


def test_other_credentials_pass_a_seal_unchanged() -> None:
    seal = Seal(KEY, timedelta(hours=1))
    for header in (BASIC, "Bearer lsk_abc", "Bearer a.b.c", "Bearer", "", "Basic lsl_x"):
        assert seal.header(header) == header
    assert seal.header(f"Bearer  {seal.token(BASIC)} ") == BASIC
    with pytest.raises(NotLoggedIn):
        seal.header("Bearer lsl_ü")
