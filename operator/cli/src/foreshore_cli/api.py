"""The API server as the verbs read it: bounded, within a time limit.

What they write is an annotation that a person has confirmed (`Server.annotate`), and nothing else.

The one module that imports the Kubernetes client, and only once a connection is opened: the import
alone costs as much as the rest of a command. Of the client it uses what is hard (contexts, merged
files, credential plugins, TLS, proxies) and asks for plain documents.

Every failure becomes one line that says what to do (`errors.CommandError`).
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib import parse

from foreshore_api import meta, scalars
from foreshore_cli import errors, options

Json = dict[str, Any]

RECORDS: Final = "records.foreshore.dev/v1alpha1"
CHUNK: Final = 500
MAXIMUM_OBJECTS: Final = 20_000
MAXIMUM_BODY: Final = 64 << 20
CONNECT_SECONDS: Final = 5.0
ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

INSTALL: Final[Mapping[str, str]] = {
    meta.API_VERSION: "is the chart foreshore-crds installed?",
    RECORDS: "is the chart foreshore (the hub) installed?",
}


class Reads(Protocol):
    """What a verb asks of the API server; tests answer from recorded objects."""

    @property
    def namespace(self) -> str:
        """The namespace that is looked at; empty for all."""

    def list(
        self, api_version: str, plural: str, query: Mapping[str, str], *, limit: int | None = None
    ) -> Sequence[Json]:
        """Objects of the namespace that is looked at, or of the cluster."""

    def get(self, api_version: str, plural: str, name: str) -> Json:
        """One object of the namespace that is looked at."""

    def find(self, path: str, api_version: str, query: Mapping[str, str] | None = None) -> Json:
        """What stands at a path of the API server, in whatever namespace."""

    def one_of(self, api_version: str, plural: str, key: tuple[str, str]) -> Json:
        """One object by (namespace, name), in whatever namespace."""


class Writes(Reads, Protocol):
    """What a verb asks that also writes."""

    def annotate(self, resource: meta.Resource, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object that is as it was read."""


class Server:
    """One API server, as one user, looking at one namespace or at all."""

    def __init__(self, client: Any, namespace: str, timeout: float | None) -> None:
        self._client: Final = client
        self._timeout: Final = timeout
        self.namespace: Final = namespace

    def list(
        self, api_version: str, plural: str, query: Mapping[str, str], *, limit: int | None = None
    ) -> Sequence[Json]:
        """All objects, or the first `limit`. Raises CommandError."""
        objects: list[Json] = []
        asked = {**query, "limit": str(min(limit or CHUNK, CHUNK))}
        while True:
            answer = self._read(self._path(api_version, plural), asked, api_version)
            kind = str(answer.get("kind", "")).removesuffix("List")
            objects += [
                {"apiVersion": api_version, "kind": kind, **item}
                for item in answer.get("items") or ()
            ]
            following = (answer.get("metadata") or {}).get("continue")
            if not following or (limit is not None and len(objects) >= limit):
                return objects[:limit]
            if len(objects) >= MAXIMUM_OBJECTS:
                raise errors.CommandError(
                    f"more than {MAXIMUM_OBJECTS} {plural}: ask for one namespace (-n) or fewer"
                    " labels (-l)"
                )
            asked["continue"] = following

    def get(self, api_version: str, plural: str, name: str) -> Json:
        """One object. Raises CommandError."""
        path = f"{self._path(api_version, plural)}/{parse.quote(name, safe='')}"
        return self._read(path, {}, api_version)

    def one_of(self, api_version: str, plural: str, key: tuple[str, str]) -> Json:
        """One object by (namespace, name). Raises CommandError."""
        return self._read(_path_of(api_version, plural, key), {}, api_version)

    def annotate(self, resource: meta.Resource, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object that is as it was read.

        Raises:
            CommandError: it may not be written, or is another by now.
        """
        path = _path_of(meta.API_VERSION, resource.plural, (resource.namespace, resource.name))
        metadata = {
            "annotations": dict(annotations),
            "uid": resource.metadata.uid,
            "resourceVersion": resource.metadata.resource_version,
        }
        self._ask("PATCH", path, meta.API_VERSION, {"metadata": metadata})

    def find(self, path: str, api_version: str, query: Mapping[str, str] | None = None) -> Json:
        """One document by its path: an object, or the first page of a list. Raises CommandError."""
        return self._read(path, {"limit": str(CHUNK), **query} if query else {}, api_version)

    def _path(self, api_version: str, plural: str) -> str:
        scope = f"/namespaces/{parse.quote(self.namespace, safe='')}" if self.namespace else ""
        return f"/apis/{api_version}{scope}/{plural}"

    def _read(self, path: str, query: Mapping[str, str], api_version: str) -> Json:
        written = f"{path}?{parse.urlencode(query)}" if query else path
        return self._ask("GET", written, api_version)

    def _ask(self, method: str, path: str, api_version: str, patch: Json | None = None) -> Json:
        import urllib3
        from kubernetes import client

        try:
            status, body = self._exchange(method, path, patch)
        except (urllib3.exceptions.HTTPError, client.ApiException, OSError, ValueError) as error:
            raise unreachable(self._client.configuration.host, error) from error
        try:
            document = json.loads(body)
        except ValueError:
            document = None
        if status >= 400:
            refusal = document if isinstance(document, dict) else {}
            raise failure(status, refusal, api_version)
        if not isinstance(document, dict):
            raise errors.CommandError("the API server's answer is no JSON object: is it a proxy's?")
        return document

    def _exchange(self, method: str, path: str, patch: Json | None) -> tuple[int, bytes]:
        """Send one question; the status and the whole body, both within the time limit."""
        longest = self._timeout
        deadline = math.inf if longest is None else time.monotonic() + longest
        connecting = CONNECT_SECONDS if longest is None else min(CONNECT_SECONDS, longest)
        kind = {} if patch is None else {"Content-Type": "application/merge-patch+json"}
        method, url, headers, *_ = self._client.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", **kind},
            auth_settings=["BearerToken"],
        )
        written = {} if patch is None else {"body": patch}
        answer = self._client.rest_client.request(
            method,
            url,
            headers=headers,
            _request_timeout=(connecting, longest),
            **written,
        )
        body = bytearray()
        try:
            for chunk in answer.response.stream(1 << 16):
                body += chunk
                if len(body) > MAXIMUM_BODY:
                    raise errors.CommandError(f"an answer of more than {MAXIMUM_BODY >> 20} MiB")
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no whole answer within {longest:g} s")
        finally:
            answer.response.release_conn()
        return answer.status, bytes(body)


def _path_of(api_version: str, plural: str, key: tuple[str, str]) -> str:
    namespace, name = (parse.quote(part, safe="") for part in key)
    return f"/apis/{api_version}/namespaces/{namespace}/{plural}/{name}"


def connect(target: options.Target) -> Server:
    """Open the API server that a kubeconfig, or the pod's own account, names.

    Raises:
        CommandError: no usable configuration, or a timeout that is no duration.
    """
    import yaml
    from kubernetes import client, config

    timeout = longest_wait(target.timeout)
    configuration = client.Configuration()
    try:
        named = _configure(configuration, config, target)
    except config.ConfigException as error:
        raise errors.CommandError(_without_access(target, error)) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise errors.CommandError(f"the kubeconfig cannot be read: {one_line(error)}") from error
    configuration.retries = False  # it would warn on standard error, once an attempt
    opened: Any = client.ApiClient(configuration)
    if target.as_user is not None:
        opened.set_default_header("Impersonate-User", target.as_user)
    return Server(
        opened, "" if target.all_namespaces else target.namespace or named or "default", timeout
    )


def _configure(configuration: Any, config: Any, target: options.Target) -> str:
    """Fill in who and where; the namespace of the context, or of the pod."""
    in_pod = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
    default = Path(config.KUBE_CONFIG_DEFAULT_LOCATION.split(os.pathsep)[0]).expanduser()
    if target.kubeconfig is None and target.context is None and in_pod and not default.exists():
        config.load_incluster_config(client_configuration=configuration)
        return ACCOUNT_NAMESPACE.read_text().strip() if ACCOUNT_NAMESPACE.exists() else ""
    path = str(target.kubeconfig) if target.kubeconfig is not None else None
    config.load_kube_config(
        config_file=path,
        context=target.context,
        client_configuration=configuration,
        persist_config=False,
    )
    contexts, active = config.list_kube_config_contexts(config_file=path)
    chosen = [context for context in contexts if context["name"] == target.context] or [active]
    return str((chosen[0].get("context") or {}).get("namespace") or "")


def _without_access(target: options.Target, error: Exception) -> str:
    place = target.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    if target.kubeconfig is not None and not target.kubeconfig.exists():
        return f"there is no kubeconfig {target.kubeconfig}"
    return f"no usable kubeconfig in {place}: {one_line(error)}"


def longest_wait(duration: str) -> float | None:
    """The seconds of `--request-timeout`; None for 0, which is none, as in kubectl.

    Raises:
        UsageError: it is no duration.
    """
    is_none = re.fullmatch(r"0(ms|s|m|h)?", duration.strip())
    return None if is_none else seconds(duration, "--request-timeout")


def seconds(duration: str, option: str) -> float:
    """The seconds of a duration that was typed; bare seconds too.

    Raises:
        UsageError: it is none, or not above zero.
    """
    try:
        length = scalars.seconds(f"{duration}s" if duration.isdigit() else duration)
    except ValueError as error:
        raise errors.UsageError(f"{option}: {error}") from error
    if length <= 0:
        raise errors.UsageError(f"{option}: {duration!r} is not above zero")
    return length


def unreachable(host: str, error: Exception) -> errors.UnreachableError:
    """The error of an exchange that did not take place."""
    reason = getattr(error, "reason", None) or error
    words = one_line(reason)
    if "CERTIFICATE_VERIFY_FAILED" in words:
        what = "its certificate is not one that the kubeconfig trusts"
    elif "timed out" in words:
        what = "no answer in time"
    elif "resolve" in words:
        what = "its name does not resolve"
    elif "[Errno" in words:
        what = words[words.index("[Errno") :].partition("] ")[2].rstrip("')").lower()
    else:
        what = words
    return errors.UnreachableError(f"the API server {host} cannot be reached: {what}")


def failure(status: int, refusal: Mapping[str, Any], api_version: str) -> errors.CommandError:
    """The error of an answer; `refusal` is its `Status` document, empty when it sent none."""
    message = one_line(refusal.get("message") or f"status {status}")
    if status == 404 and not (refusal.get("details") or {}).get("name"):
        hint = INSTALL.get(api_version, "")
        return errors.NoSuchObjectError(f"this cluster does not serve {api_version}: {hint}")
    match status:
        case 401:
            return errors.CommandError(f"the API server does not accept who you are: {message}")
        case 403:
            return errors.ForbiddenError(message)
        case 404:
            return errors.NoSuchObjectError(message)
        case 409:
            return errors.CommandError(f"it has changed meanwhile, look again: {message}")
        case 429 | 502 | 503 | 504 if api_version == RECORDS:
            return errors.UnreachableError(f"the hub, which keeps decisions, is away: {message}")
        case _:
            kind = errors.UnreachableError if status >= 500 else errors.CommandError
            return kind(f"the API server answered {status}: {message}")


def one_line(words: object) -> str:
    """What something says, on one line of bearable length."""
    return " ".join(str(words).split())[:500]
