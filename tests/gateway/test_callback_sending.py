"""One request to a stranger's URL: where it goes, what it bears, and when it gives up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from longshore.gateway.callbacks import sending
from longshore.gateway.callbacks.addresses import Address, Forbidden
from longshore.gateway.callbacks.sending import Answer, Sender, Unanswered
from longshore.gateway.callbacks.signing import InvalidSecret, key_of, marks
from longshore.gateway.settings import CallbackRules
from tests.gateway.outbound import LOOPBACK, resolver
from tests.gateway.receiver import receiver
from tests.tools.certificates import Authority

NAMES = {"quay.example": ["127.0.0.1"]}


async def send(
    url: str,
    names: Mapping[str, Sequence[str]] = NAMES,
    rules: CallbackRules | None = None,
    body: bytes = b"{}",
) -> Answer:
    chosen = rules or CallbackRules(allowed_networks=LOOPBACK)
    sender = Sender(chosen, resolver(names))
    return await sender.send("POST", httpx.URL(url), {"x-mark": "1"}, body)


def secured(authority: Authority, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = authority.issue(*names)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


async def test_a_name_is_kept_though_the_address_is_what_was_looked_at() -> None:
    async with receiver() as called:
        answer = await send(f"http://QUAY.example:{called.port}/a%20b?c=d#e")
    assert answer == Answer(204, "No Content", None)
    (call,) = called.calls
    assert (call.target, call.headers["host"]) == ("/a%20b?c=d", f"quay.example:{called.port}")
    assert (call.headers["x-mark"], call.body) == ("1", b"{}")


async def test_tls_expects_the_name_of_the_host_whatever_the_address(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
    async with receiver(tls=secured(authority, "quay.example")) as called:
        answer = await send(f"https://quay.example:{called.port}/")
        assert answer.status == 204
        assert called.calls[0].server_name == "quay.example"
    async with receiver(tls=secured(authority, "127.0.0.1", "elsewhere.example")) as called:
        with pytest.raises(Unanswered, match=r"(?i)hostname mismatch"):
            await send(f"https://quay.example:{called.port}/")
        assert called.calls == []
        names = {"127.0.0.1": ["127.0.0.1"]}
        assert (await send(f"https://127.0.0.1:{called.port}/", names)).status == 204


async def test_whom_this_machine_does_not_trust_is_told_nothing(authority: Authority) -> None:
    async with receiver(tls=secured(authority, "quay.example")) as called:
        with pytest.raises(Unanswered, match=r"(?i)certificate"):
            await send(f"https://quay.example:{called.port}/")
        assert called.calls == []


async def test_a_name_that_leads_to_this_machine_is_as_forbidden_as_its_address() -> None:
    async with receiver() as called:
        with pytest.raises(Forbidden, match=r"quay\.example leads to 127\.0\.0\.1, ::1"):
            await send(
                f"http://quay.example:{called.port}/",
                {"quay.example": ["127.0.0.1", "::1"]},
                CallbackRules(),
            )
        assert called.calls == []


async def test_a_name_is_asked_for_once_so_that_a_second_answer_changes_nothing() -> None:
    asked: list[str] = []
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])

    class Moving(dict[str, list[str]]):
        def __contains__(self, name: object) -> bool:
            return True

        def __getitem__(self, name: str) -> list[str]:
            asked.append(name)
            return next(answers)

    async with receiver() as called:
        assert (await send(f"http://quay.example:{called.port}/", Moving())).status == 204
    assert asked == ["quay.example"]


async def test_the_next_address_is_tried_where_one_cannot_be_connected() -> None:
    names = {"quay.example": ["127.0.0.2", "127.0.0.3", "127.0.0.1"]}
    async with receiver() as called:
        assert (await send(f"http://quay.example:{called.port}/", names)).status == 204
    assert len(called.calls) == 1


async def test_who_was_connected_is_called_once_however_it_answers() -> None:
    names = {"quay.example": ["127.0.0.1", "127.0.0.1"]}
    async with receiver(b"nonsense\r\n\r\n") as called:
        with pytest.raises(Unanswered):
            await send(f"http://quay.example:{called.port}/", names)
    assert len(called.calls) == 1


async def test_ipv6_is_called_as_well() -> None:
    async with receiver(host="::1") as called:
        allowed = CallbackRules(allowed_networks=LOOPBACK[1:])
        url = f"http://[::1]:{called.port}/"
        assert (await send(url, {"::1": ["::1"]}, allowed)).status == 204
    assert called.calls[0].headers["host"] == f"[::1]:{called.port}"


async def test_a_name_without_an_address_is_said() -> None:
    with pytest.raises(Unanswered, match=r"nowhere\.example has no address"):
        await send("http://nowhere.example/")


async def test_no_redirect_is_followed() -> None:
    async with receiver() as other:
        told = f"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:{other.port}/\r\n\r\n"
        async with receiver(told.encode()) as called:
            answer = await send(f"http://quay.example:{called.port}/")
    assert (answer.status, len(called.calls), other.calls) == (307, 1, [])


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as proxy, receiver() as called:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await send(f"http://quay.example:{called.port}/")).status == 204
    assert (len(called.calls), proxy.calls) == (1, [])


async def test_who_does_not_answer_in_time_is_given_up() -> None:
    # Long enough to connect, which is told in other words if it takes so long itself.
    rules = CallbackRules(allowed_networks=LOOPBACK, timeout=timedelta(seconds=1))
    async with receiver(b"") as called:
        with pytest.raises(Unanswered, match="no answer within 1 s"):
            await send(f"http://quay.example:{called.port}/", rules=rules)
    async with receiver(b"HTTP/1.1 200 OK\r\n") as called:  # The head has no end.
        with pytest.raises(Unanswered):
            await send(f"http://quay.example:{called.port}/", rules=rules)


async def test_a_resolver_that_does_not_answer_is_not_waited_for_either() -> None:
    async def resolve(_host: str, _port: int) -> list[Address]:
        await asyncio.Event().wait()
        return []

    rules = CallbackRules(allowed_networks=LOOPBACK, timeout=timedelta(milliseconds=100))
    with pytest.raises(Unanswered, match=r"no answer within 0\.1 s"):
        await Sender(rules, resolve).send("POST", httpx.URL("http://quay.example/"), {}, b"")


async def test_of_a_long_answer_a_little_is_read_and_its_status_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "_BODY_SECONDS", 3_600)
    rules = CallbackRules(allowed_networks=LOOPBACK, answer_bytes=1_000)
    told = b"HTTP/1.1 202 Accepted\r\ncontent-length: 100000000\r\n\r\n" + bytes(1_000_000)
    async with receiver(told) as called:
        async with asyncio.timeout(30):
            answer = await send(f"http://quay.example:{called.port}/", rules=rules)
    assert answer.status == 202


async def test_an_answer_whose_body_is_cut_is_one_all_the_same() -> None:
    async with receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc") as called:
        answer = await send(f"http://quay.example:{called.port}/")
    assert answer.status == 200


async def test_a_head_without_end_is_not_read_to_its_end() -> None:
    told = b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 1_000_000 + b"\r\n\r\n"
    async with receiver(told) as called:
        with pytest.raises(Unanswered):
            await send(f"http://quay.example:{called.port}/")


async def test_nothing_that_is_compressed_is_unpacked() -> None:
    told = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"
    async with receiver(told) as called:
        assert (await send(f"http://quay.example:{called.port}/")).status == 200


@pytest.mark.parametrize(
    "written, seconds",
    [
        ("120", 120),
        ("0", 0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("9" * 400, 10**9),
        ("Wed, 21 Oct 2015 07:28:00 -0000", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
async def test_when_to_come_again_is_understood(written: str, seconds: float | None) -> None:
    told = f"HTTP/1.1 503 Later\r\nretry-after: {written}\r\n\r\n".encode()
    async with receiver(told) as called:
        answer = await send(f"http://quay.example:{called.port}/")
    if seconds is None:
        assert answer.retry_after is None
    else:
        assert answer.retry_after is not None
        assert answer.retry_after >= timedelta()
        assert abs(answer.retry_after.total_seconds() - seconds) < 600


async def test_a_date_to_come_again_is_understood() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with receiver(
        f"HTTP/1.1 503 Later\r\nretry-after: {date}\r\n\r\n".encode()
    ) as called:
        answer = await send(f"http://quay.example:{called.port}/")
    assert answer.retry_after is not None
    assert timedelta(minutes=50) < answer.retry_after <= timedelta(hours=1)


def test_a_secret_is_text_or_base64_that_says_so() -> None:
    assert key_of("") == b""
    assert key_of("häns") == "häns".encode()
    assert key_of("whsec_YWJj") == b"abc"
    with pytest.raises(InvalidSecret):
        key_of("whsec_a")
    assert "webhook-signature" not in marks(b"", "id", 1, b"")


def test_a_signature_is_the_one_of_the_specification() -> None:
    # The example of its own libraries.
    found = marks(
        key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
