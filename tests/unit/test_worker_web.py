from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.worker import web
from longshore.worker.files import File


@pytest.mark.parametrize(
    "text, expected",
    [
        ("https://a.org/b/c.txt", "https://a.org/b/c.txt"),
        ("https://ada:hush@a.org:8080/b", "https://a.org:8080/b"),
        ("https://ada:h@sh@a.org/b@c", "https://a.org/b@c"),
        ("https://a.org/b?token=hush", "https://a.org/b?…"),
        ("https://a.org?token=hush#hush", "https://a.org?…"),
        ("https://a.org/b#hush", "https://a.org/b?…"),
        ("HTTP://ada:hush@A.org", "HTTP://A.org"),
        ("no http://x:hush@a/ nor https://a?hush !", "no http://a/ nor https://a?… !"),
        ("a text: b@c, d?e", "a text: b@c, d?e"),
    ],
)
def test_addresses_are_shown_without_passwords_and_queries(text: str, expected: str) -> None:
    assert web.shown(text) == expected


@given(
    st.sampled_from(["{}:x@", "x:{}@", "{}@"]),
    st.sampled_from(["?{}", "?a={}&b=c", "#{}", "?x#{}"]),
    st.text("abc?#@:&=%+ü", max_size=8),
)
def test_no_secret_is_left(user: str, query: str, more: str) -> None:
    address = f"https://{user.format('hush')}a.org/b{query.format('hush' + more)}"
    assert "hush" not in web.shown(f"GET {address} failed")


def test_a_file_prints_itself_without_secrets() -> None:
    reader: object = None
    file = File("https://ada:hush@a.org/b?token=hush", reader)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert repr(file) == "File('https://a.org/b?…')"


@pytest.mark.parametrize(
    "address", ["http://ada:hush@[::1/b", "http://ada:hush\u2100@a.org/", "ftp://hush@a.org/"]
)
def test_an_address_that_cannot_be_read_is_not_repeated(address: str) -> None:
    with pytest.raises(ValueError, match="the address of a file begins with") as refused:
        web.is_address(address)
    assert "hush" not in str(refused.value)
