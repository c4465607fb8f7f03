"""How the API server is found and read, and what is said when that fails."""

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib import parse

import pytest
import urllib3
import yaml
from kubernetes.client.exceptions import ApiException

from foreshore_api import meta, v1alpha1
from foreshore_cli import api, errors, options


@dataclass
class Raw:
    """One answer as it comes off the wire."""

    body: bytes

    def stream(self, amount: int) -> Iterator[bytes]:
        for start in range(0, len(self.body), amount):
            yield self.body[start : start + amount]

    def release_conn(self) -> None:
        pass


@dataclass
class Response:
    status: int
    response: Raw


@dataclass
class Client:
    """The part of the Kubernetes client that is used, with answers in a row."""

    answers: list[Any]
    asked: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    timeouts: list[tuple[float, float | None]] = field(default_factory=list)
    written: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def configuration(self) -> Any:
        return self

    @property
    def rest_client(self) -> Any:
        return self

    host = "https://10.0.0.1:6443"

    def param_serialize(self, method: str, path: str, **more: Any) -> tuple[Any, ...]:
        return method, self.host + path, more["header_params"], None, []

    def request(
        self, method: str, url: str, *, headers: Any, _request_timeout: Any, body: Any = None
    ) -> Response:
        assert method == ("GET" if body is None else "PATCH")
        if body is not None:
            self.written.append((headers["Content-Type"], body))
        assert all(limit is None or limit > 0 for limit in _request_timeout)
        self.timeouts.append(_request_timeout)
        self.asked.append(url.removeprefix(self.host))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, document = answer
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return Response(status, Raw(content))


def server(*answers: Any, namespace: str = "hq") -> tuple[api.Server, Client]:
    client = Client(list(answers))
    return api.Server(client, namespace, 10.0), client


def page(*names: str, following: str = "") -> tuple[int, Any]:
    return 200, {
        "kind": "DeviceList",
        "metadata": {"continue": following},
        "items": [{"metadata": {"name": name}} for name in names],
    }


def names(found: Any) -> list[str]:
    return [one["metadata"]["name"] for one in found]


def test_a_list_is_read_page_by_page_to_its_end() -> None:
    opened, client = server(page("a", "b", following="more"), page("c"))
    found = opened.list(meta.API_VERSION, "devices", {"labelSelector": "zone=west,floor!=2"})
    assert names(found) == ["a", "b", "c"]
    assert {one["kind"] for one in found} == {"Device"}
    first, second = (parse.urlsplit(url) for url in client.asked)
    assert first.path == "/apis/foreshore.dev/v1alpha1/namespaces/hq/devices"
    assert parse.parse_qs(second.query) == {
        "labelSelector": ["zone=west,floor!=2"],
        "limit": ["500"],
        "continue": ["more"],
    }


def test_a_limited_list_stops_although_there_is_more() -> None:
    opened, client = server(page("a", "b", following="more"), namespace="")
    assert names(opened.list(api.RECORDS, "decisions", {}, limit=1)) == ["a"]
    assert client.asked == ["/apis/records.foreshore.dev/v1alpha1/decisions?limit=1"]


def test_a_list_without_end_ends() -> None:
    full = page(*(str(number) for number in range(api.CHUNK)), following="more")
    opened, _ = server(*[full] * 100)
    with pytest.raises(errors.CommandError, match="more than 20000 devices"):
        opened.list(meta.API_VERSION, "devices", {})


def test_an_answer_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MAXIMUM_BODY", 1 << 20)
    opened, _ = server((200, b" " * (2 << 20)))
    with pytest.raises(errors.CommandError, match="an answer of more than 1 MiB"):
        opened.list(meta.API_VERSION, "devices", {})


def test_an_answer_that_drips_for_ever_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 5.0, 11.0])
    monkeypatch.setattr("time.monotonic", lambda: next(ticks))
    opened, _ = server((200, b" " * (3 << 16)))
    with pytest.raises(errors.UnreachableError, match="no whole answer within 10 s"):
        opened.list(meta.API_VERSION, "devices", {})


def test_a_name_cannot_lead_to_another_path() -> None:
    opened, client = server((404, {}), namespace="../../kube-system")
    with pytest.raises(errors.CommandError):
        opened.get(api.RECORDS, "decisions", "../secrets/x?a=b")
    (url,) = client.asked
    assert url == (
        "/apis/records.foreshore.dev/v1alpha1/namespaces/..%2F..%2Fkube-system/decisions/"
        "..%2Fsecrets%2Fx%3Fa%3Db"
    )


def test_an_answer_that_is_no_json_is_a_proxys() -> None:
    opened, _ = server((200, b"<html>log in</html>"))
    with pytest.raises(errors.CommandError, match="no JSON object"):
        opened.list(meta.API_VERSION, "devices", {})


FORBIDDEN = 'devices.foreshore.dev is forbidden: User "jane" cannot list resource "devices"'


@pytest.mark.parametrize(
    ("answer", "api_version", "kind", "words"),
    [
        pytest.param(
            (404, b"404 page not found\n"),
            meta.API_VERSION,
            errors.NoSuchObjectError,
            "this cluster does not serve foreshore.dev/v1alpha1: is the chart foreshore-crds"
            " installed?",
            id="the kinds are absent",
        ),
        pytest.param(
            (404, b"404 page not found\n"),
            api.RECORDS,
            errors.NoSuchObjectError,
            "this cluster does not serve records.foreshore.dev/v1alpha1: is the chart foreshore"
            " (the hub) installed?",
            id="the aggregated API is absent",
        ),
        pytest.param(
            (404, {"message": 'decisions "x" not found', "details": {"name": "x"}}),
            api.RECORDS,
            errors.NoSuchObjectError,
            'decisions "x" not found',
            id="there is no such object",
        ),
        pytest.param(
            (403, {"message": FORBIDDEN}),
            meta.API_VERSION,
            errors.ForbiddenError,
            FORBIDDEN,
            id="forbidden",
        ),
        pytest.param(
            (401, {"message": "Unauthorized"}),
            meta.API_VERSION,
            errors.CommandError,
            "the API server does not accept who you are: Unauthorized",
            id="unknown user",
        ),
        pytest.param(
            (503, b"service unavailable\n"),
            api.RECORDS,
            errors.UnreachableError,
            "the hub, which keeps decisions, is away: status 503",
            id="the hub is away",
        ),
        pytest.param(
            (500, {"message": "etcdserver: leader\n changed"}),
            meta.API_VERSION,
            errors.UnreachableError,
            "the API server answered 500: etcdserver: leader changed",
            id="the API server is unwell",
        ),
        pytest.param(
            (410, {"message": "the provided continue parameter is too old"}),
            meta.API_VERSION,
            errors.CommandError,
            "the API server answered 410: the provided continue parameter is too old",
            id="the list took too long",
        ),
        pytest.param(
            urllib3.exceptions.ConnectTimeoutError("connect timed out"),
            meta.API_VERSION,
            errors.UnreachableError,
            "the API server https://10.0.0.1:6443 cannot be reached: no answer in time",
            id="no answer",
        ),
        pytest.param(
            urllib3.exceptions.NameResolutionError(
                "k8s.example",
                None,  # type: ignore[arg-type]
                socket.gaierror(-2, "Name or service not known"),
            ),
            meta.API_VERSION,
            errors.UnreachableError,
            "the API server https://10.0.0.1:6443 cannot be reached: its name does not resolve",
            id="no such name",
        ),
        pytest.param(
            ApiException(status=0, reason="SSLError\n[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
            meta.API_VERSION,
            errors.UnreachableError,
            "the API server https://10.0.0.1:6443 cannot be reached: its certificate is not one"
            " that the kubeconfig trusts",
            id="another certificate",
        ),
        pytest.param(
            ValueError("Invalid header value b'a\\nb'"),
            meta.API_VERSION,
            errors.UnreachableError,
            "the API server https://10.0.0.1:6443 cannot be reached: Invalid header value b'a\\nb'",
            id="a user that is no header",
        ),
        pytest.param(
            ConnectionRefusedError(111, "Connection refused"),
            meta.API_VERSION,
            errors.UnreachableError,
            "the API server https://10.0.0.1:6443 cannot be reached: connection refused",
            id="refused",
        ),
    ],
)
def test_a_failure_is_one_line_that_helps(
    answer: Any, api_version: str, kind: type[errors.CommandError], words: str
) -> None:
    opened, _ = server(answer)
    with pytest.raises(errors.CommandError) as raised:
        opened.list(api_version, "devices", {})
    assert type(raised.value) is kind
    assert str(raised.value) == words


@pytest.mark.parametrize(
    ("written", "expected"), [("10s", 10.0), ("2m", 120.0), ("1m30s", 90.0), ("5", 5.0)]
)
def test_durations_are_read_as_kubectl_reads_them(written: str, expected: float) -> None:
    assert api.seconds(written, "--request-timeout") == expected


@pytest.mark.parametrize("written", ["soon", "0", "0s", "-1s", "1 day", ""])
def test_a_duration_that_is_none_is_wrong_usage(written: str) -> None:
    with pytest.raises(errors.UsageError, match="--request-timeout"):
        api.seconds(written, "--request-timeout")


@pytest.mark.parametrize("written", ["0", "0s", "0m"])
def test_no_time_limit_is_asked_for_as_in_kubectl(written: str) -> None:
    assert api.longest_wait(written) is None
    assert api.longest_wait("10s") == 10.0


def test_each_answer_is_waited_for_as_long_as_was_asked() -> None:
    opened, client = server((200, {"kind": "DeviceList", "items": []}))
    opened.list("foreshore.dev/v1alpha1", "devices", {})
    assert client.timeouts == [(api.CONNECT_SECONDS, 10.0)]


def test_without_a_time_limit_a_connection_is_still_not_waited_for_without_end() -> None:
    _, client = server((200, {"kind": "DeviceList", "items": []}))
    api.Server(client, "hq", None).list("foreshore.dev/v1alpha1", "devices", {})
    assert client.rest_client.timeouts == [(api.CONNECT_SECONDS, None)]


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    contexts = {"plain": {}, "hq": {"namespace": "hq"}, "lab": {"namespace": "lab"}}
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "hq",
                "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
                "contexts": [
                    {"name": name, "context": {"cluster": "c", "user": "u", **more}}
                    for name, more in contexts.items()
                ],
            }
        )
    )
    return path


@pytest.mark.parametrize(
    ("how", "namespace"),
    [
        ({}, "hq"),
        ({"context": "lab"}, "lab"),
        ({"context": "plain"}, "default"),
        ({"context": "lab", "namespace": "else"}, "else"),
        ({"all_namespaces": True, "namespace": "else"}, ""),
    ],
    ids=["of the current context", "of another", "of none", "as asked", "all"],
)
def test_the_namespace_is_the_one_that_kubectl_would_take(
    kubeconfig: Path, how: Mapping[str, Any], namespace: str
) -> None:
    opened = api.connect(options.Target(kubeconfig=kubeconfig, **how))
    assert opened.namespace == namespace


def test_the_kubeconfig_is_found_where_kubectl_finds_it(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig)
    )
    assert api.connect(options.Target()).namespace == "hq"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"context": "mars"}, "mars"),
        ({"kubeconfig": Path("/nowhere/config")}, "there is no kubeconfig /nowhere/config"),
    ],
    ids=["no such context", "no such file"],
)
def test_a_kubeconfig_that_is_of_no_use_is_named(
    kubeconfig: Path, how: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(errors.CommandError, match=words):
        api.connect(options.Target(**{"kubeconfig": kubeconfig, **how}))


def test_a_kubeconfig_that_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("{:\n- ]")
    with pytest.raises(errors.CommandError) as raised:
        api.connect(options.Target(kubeconfig=path))
    assert "\n" not in str(raised.value)


def test_a_read_only_command_leaves_the_kubeconfig_as_it_is(kubeconfig: Path) -> None:
    before = kubeconfig.read_bytes()
    kubeconfig.chmod(0o400)
    api.connect(options.Target(kubeconfig=kubeconfig))
    assert kubeconfig.read_bytes() == before


def test_another_user_is_asked_for_by_header(kubeconfig: Path) -> None:
    opened = api.connect(options.Target(kubeconfig=kubeconfig, as_user="jane"))
    assert opened._client.default_headers["Impersonate-User"] == "jane"


def site() -> v1alpha1.Site:
    metadata = {"name": "hq", "namespace": "shop", "uid": "u1", "resourceVersion": "7"}
    broker = {"host": "broker", "port": 1883, "transport": "Plain"}
    return v1alpha1.Site.read({"metadata": metadata, "spec": {"broker": broker}})


def test_an_annotation_is_written_only_where_the_object_is_as_it_was_read() -> None:
    reader, client = server((200, {}))
    reader.annotate(site(), {"a": "b"})
    assert client.asked == ["/apis/foreshore.dev/v1alpha1/namespaces/shop/sites/hq"]
    ((kind, body),) = client.written
    assert kind == "application/merge-patch+json"
    expected = {"annotations": {"a": "b"}, "uid": "u1", "resourceVersion": "7"}
    assert body == {"metadata": expected}


def test_who_may_not_write_is_told() -> None:
    reader, _ = server((403, {"message": "hq is forbidden: user cannot patch"}))
    with pytest.raises(errors.ForbiddenError, match="cannot patch"):
        reader.annotate(site(), {"a": "b"})


def test_an_object_that_has_changed_meanwhile_is_said_to_have() -> None:
    reader, _ = server((409, {"message": "the object has been modified"}))
    with pytest.raises(errors.CommandError, match="changed meanwhile, look again"):
        reader.annotate(site(), {"a": "b"})
