"""Where strangers' URLs may lead, and where they may not."""

from __future__ import annotations

import ipaddress

import pytest

from longshore.gateway.callbacks.addresses import Forbidden, permitted, resolved

#: What is public, of either kind.
PUBLIC = ("8.8.8.8", "93.184.215.14", "2606:4700::6810:84e5", "2a00:1450:4001:82a::200e")

#: Of every sort that is not, the first and the last.
OTHERS = (
    *("0.0.0.0", "0.255.255.255"),
    *("10.0.0.0", "10.255.255.255"),
    *("100.64.0.1", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.254"),
    *("169.254.0.1", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255"),
    *("192.0.0.1", "192.0.2.1", "192.168.0.1", "192.168.255.255"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255"),
    *("240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1"),
    *("::ffff:127.0.0.1", "::ffff:8.8.8.8"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"),
    *("100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1"),
    *("fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1"),
    *("ff02::1", "ff0e::1"),
    *("4000::1", "e000::1"),
)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_everybody_can_reach_may_be_called(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert permitted("quay.example", [address], []) == [address]


@pytest.mark.parametrize("text", OTHERS)
def test_nothing_else_may_be_called_unless_it_is_allowed(text: str) -> None:
    address = ipaddress.ip_address(text)
    with pytest.raises(Forbidden, match=f"quay.example leads to {address}"):
        permitted("quay.example", [address], [ipaddress.ip_network("9.9.9.0/24")])
    allowed = [ipaddress.ip_network("9.9.9.0/24"), ipaddress.ip_network(address)]
    assert permitted("quay.example", [address], allowed) == [address]


def test_of_several_addresses_those_are_called_that_may_be() -> None:
    one, two = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("8.8.8.8")
    assert permitted("quay.example", [one, two], []) == [two]


@pytest.mark.parametrize(
    "host, address",
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%1", "fe80::1"),
    ],
)
async def test_addresses_are_known_in_all_their_spellings(host: str, address: str) -> None:
    assert await resolved(host, 80) == [ipaddress.ip_address(address)]
