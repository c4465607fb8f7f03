"""Credentials of brokers: what is read of a folder, and what is said where it cannot be used."""

from pathlib import Path

import pytest

from foreshore_agent.devices.mqtt import credentials, session
from foreshore_agent.devices.mqtt.codec import encode
from foreshore_api.v1alpha1 import site


def folder(place: Path, **files: bytes) -> None:
    (place / "shop").mkdir()
    for name, content in files.items():
        (place / "shop" / name).write_bytes(content)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(b"secret", b"secret", id="as it is"),
        pytest.param(b"secret\n", b"secret", id="with the new line of an editor"),
        pytest.param(b"secret\n\n", b"secret\n", id="with one that belongs to it"),
        pytest.param(b" se cret ", b" se cret ", id="with blanks"),
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"\xff\x00", b"\xff\x00", id="bytes"),
        pytest.param(b"x" * 4096 + b"\n", b"x" * 4096, id="as long as one may be"),
    ],
)
def test_a_password_is_what_stands_in_the_file(tmp_path: Path, written: bytes, read: bytes) -> None:
    folder(tmp_path, username=b"foreshore\n", password=written)
    shown = credentials.read(tmp_path, "shop", is_tls=False)
    assert shown == credentials.BrokerCredential(None, credentials.Login("foreshore", read))


def test_a_user_name_needs_no_password(tmp_path: Path) -> None:
    folder(tmp_path, username=b"foreshore")
    shown = credentials.read(tmp_path, "shop", is_tls=False)
    assert shown.login == credentials.Login("foreshore", None)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        pytest.param({}, "holds no username", id="nothing for a broker without TLS"),
        pytest.param({"tls.crt": b"x"}, "holds no username", id="a certificate alone"),
        pytest.param({"password": b"hush"}, "a password and no username", id="a password alone"),
        pytest.param({"username": b"\n"}, "empty", id="an empty user name"),
        pytest.param({"username": b"a\x00b"}, "does not allow", id="a user name with NUL"),
        pytest.param({"username": b"\xff"}, "no UTF-8", id="a user name that is no text"),
        pytest.param({"username": b"u", "password": b"hush" * 1025}, "longer than", id="too long"),
    ],
)
def test_what_cannot_be_used_is_named_and_not_shown(
    tmp_path: Path, files: dict[str, bytes], problem: str
) -> None:
    folder(tmp_path, **files)
    with pytest.raises(credentials.CredentialError, match=problem) as error:
        credentials.read(tmp_path, "shop", is_tls=False)
    assert "'shop'" in str(error.value)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "missing"),
    [
        ({"username": b"u", "password": b"hush"}, "ca.crt"),
        ({"ca.crt": b"", "tls.crt": b""}, "tls.key"),
    ],
)
def test_what_tls_needs_is_named_where_it_is_not_there(
    tmp_path: Path, files: dict[str, bytes], missing: str
) -> None:
    folder(tmp_path, **files)
    with pytest.raises(credentials.CredentialError, match=f"holds no {missing}"):
        credentials.read(tmp_path, "shop", is_tls=True)


def test_what_is_no_certificate_cannot_be_used(tmp_path: Path) -> None:
    folder(tmp_path, **{"ca.crt": b"no certificate"})
    with pytest.raises(credentials.CredentialError, match="cannot be used"):
        credentials.read(tmp_path, "shop", is_tls=True)


@pytest.mark.parametrize("name", ["../shop", "", "Shop", "a/b"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(credentials.CredentialError, match="no name of a credential"):
        credentials.read(tmp_path, name, is_tls=False)


def test_nothing_prints_a_user_name_or_a_password() -> None:
    login = credentials.Login("somebody", b"hush")
    greeting = session.greeting("edge-1", None, login)
    assert (greeting.user, greeting.password) == ("somebody", b"hush")
    printed = f"{login!r} {credentials.BrokerCredential(None, login)!r} {greeting!r}"
    assert "somebody" not in printed
    assert "hush" not in printed
    assert b"hush" in encode.connect(greeting, is_v5=True)


@pytest.mark.parametrize("transport", list(site.Transport))
def test_a_credential_is_shown_with_and_without_tls(transport: site.Transport) -> None:
    broker = site.Broker(host="192.0.2.10", port=1883, transport=transport, credential="shop")
    address = session.Address.of(broker, None)
    assert address.credential == "shop"
    assert address.is_tls is (transport is site.Transport.TLS)
    assert address.is_revealing is (transport is site.Transport.PLAIN)
    without = session.Address.of(
        site.Broker(host="192.0.2.10", port=1883, transport=site.Transport.PLAIN), None
    )
    assert not without.is_tls
    assert not without.is_revealing
