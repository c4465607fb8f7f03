"""How addresses are written and read."""

import ipaddress
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import room
from foreshore_api import addresses, v1alpha1

PORTS = st.integers(0, 65535)
ADDRESSES = st.ip_addresses().map(str)


@given(ADDRESSES, PORTS)
def test_what_is_joined_comes_apart_again(host: str, port: int) -> None:
    assert addresses.split(addresses.joined(host, port)) == (host, port)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("10.42.0.7", "10.42.0.7:8080"),
        ("fd42:1::1:7", "[fd42:1::1:7]:8080"),
        ("hub.example", "hub.example:8080"),
    ],
)
def test_an_ipv6_address_beside_a_port_stands_in_brackets(host: str, text: str) -> None:
    assert addresses.joined(host, 8080) == text
    assert addresses.http(host, 8080) == f"http://{text}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.0.0.0:8080", ("0.0.0.0", 8080)), ("[::]:0", ("::", 0)), (":9000", ("", 9000))],  # noqa: S104
)
def test_addresses_to_listen_on(text: str, expected: tuple[str, int]) -> None:
    assert addresses.split(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "8080", "host:", "host:http", "host:70000", "host:-1", "host:²", "::1:8080", "fd42::7"],
)
def test_what_is_no_address_with_a_port(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        addresses.split(text)


def site(host: str) -> v1alpha1.Site:
    document: dict[str, Any] = room.changed(room.site(), spec__broker__host=host)
    return v1alpha1.Site.read(document)


@given(st.ip_addresses())
def test_a_broker_has_any_ip_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    for text in (str(address), address.exploded, str(address).upper()):
        assert site(text).spec.broker.host == text


@pytest.mark.parametrize(
    "host", ["broker.hq.example", "Broker", "10.0.0.9", "::1", "fd00::", "::ffff:10.0.0.9"]
)
def test_a_broker_has_a_name_or_an_address(host: str) -> None:
    assert site(host).spec.broker.host == host


@pytest.mark.parametrize(
    "host",
    [
        "[::1]",
        "::1]",
        ":",
        ":::",
        "1::2::3",
        "12345::",
        "1:2:3:4:5:6:7:8:9",
        "host:1883",
        "-a",
        "a-",
    ],
)
def test_a_host_that_is_neither_is_refused_with_what_to_write(host: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="without brackets"):
        site(host)


@pytest.mark.parametrize("host", ["fe80::1%eth0", "a b", "a/b", "", "x" * 254])
def test_a_host_of_other_characters_is_refused(host: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="host"):
        site(host)


@given(st.ip_addresses(v=6))
def test_an_address_has_one_spelling_to_compare_by(address: ipaddress.IPv6Address) -> None:
    assert addresses.canonical(address.exploded.upper()) == addresses.canonical(str(address))


def test_names_are_compared_without_case() -> None:
    assert addresses.canonical("Broker.Example") == addresses.canonical("broker.example")


@pytest.mark.parametrize(
    ("host", "has_v6", "bound"),
    [
        ("::", True, "::"),
        ("", True, "::"),
        ("::", False, "0.0.0.0"),  # noqa: S104
        ("0.0.0.0", True, "0.0.0.0"),  # noqa: S104
        ("10.0.0.1", False, "10.0.0.1"),
        ("::1", False, "::1"),
    ],
)
def test_every_address_is_that_of_ipv4_where_the_kernel_has_no_ipv6(
    host: str, has_v6: bool, bound: str
) -> None:
    assert addresses.bindable(host, has_v6=has_v6) == bound
