"""A Prometheus that scrapes the agents, through `prometheus-api-client`.

Only `custom_query` is used, with the time and a time limit said explicitly: the client's helpers
build their queries from text, take "now" from another clock and want pandas.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import prometheus_api_client
import requests
import urllib3
from prometheus_api_client import exceptions

from foreshore_api import printable
from foreshore_api.wire import histogram, metrics
from foreshore_operator.history import answers, bounded, source
from foreshore_planner import priors

log = logging.getLogger(__name__)

SERVER_SECONDS: Final = 10
"""How long Prometheus may work on one query."""
RANGE: Final = "1h"
"""How far back a model's times count; so many samples of a rare decision are needed."""
NETWORK_RANGE: Final = "15m"
"""How far back echoes count: there is one a second."""

INFERENCE_LABELS: Final = ("namespace", "version", "class")
NETWORK_LABELS: Final = ("site", "peer_site", "class")


def quoted(text: str) -> str:
    """Return a label's value as PromQL writes it: a Go string."""
    return json.dumps(text, ensure_ascii=False)


def bucket_sums(
    metric: metrics.Metric, matching: Mapping[str, str], labels: Sequence[str], over: str
) -> str:
    """Return the query for how many samples fell into each bucket over a range, by labels.

    Agents name a policy `namespace/name`; its namespace is made a label of its own.
    """
    matchers = ",".join(f"{label}={quoted(value)}" for label, value in sorted(matching.items()))
    increase = f"increase({metric.name}_bucket{{{matchers}}}[{over}])"
    if "namespace" in labels:
        increase = f'label_replace({increase}, "namespace", "$1", "policy", "([^/]*)/.*")'
    return f"sum by ({', '.join((*labels, 'le'))}) ({increase})"


INFERENCE: Final = bucket_sums(
    metrics.STAGE_SECONDS, {"stage": histogram.Stage.INFERENCE.value}, INFERENCE_LABELS, RANGE
)
STRANGE: Final = (answers.NoVectorError, ValueError, KeyError, TypeError, RecursionError)
"""What reading an answer raises that is none; JSON with a number of 5,000 digits a ValueError."""
NETWORK: Final = bucket_sums(metrics.PROBE_SECONDS, {}, NETWORK_LABELS, NETWORK_RANGE)


class PrometheusHistory:
    """A `source.LatencySource`; the client blocks, so that it works in a thread, one at a time."""

    def __init__(self, url: str, *, token_file: Path | None = None, ca: Path | None = None) -> None:
        self._token_file = token_file
        self._session = bounded.BoundedSession()
        if ca is not None:
            self._session.verify = str(ca)
        self._client = prometheus_api_client.PrometheusConnect(
            url=url.rstrip("/"),
            session=self._session,
            retry=urllib3.Retry(total=0, redirect=False),
            method="POST",
        )
        self._refused: Mapping[str, int] = {}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def read(self, now: datetime.datetime) -> priors.LatencyPriors:
        """Ask for both kinds of figure; raises HistoryError, see `source.LatencySource`."""
        return await asyncio.to_thread(self._read, now)

    def _read(self, now: datetime.datetime) -> priors.LatencyPriors:
        inference = self._ask(INFERENCE, INFERENCE_LABELS, now)
        network = self._ask(NETWORK, NETWORK_LABELS, now)
        self._say({**inference.refused, **network.refused})
        return priors.LatencyPriors(
            inference={
                ((namespace, version), node_class): measured
                for (namespace, version, node_class), measured in inference.histograms.items()
                if version
            },
            network={
                (site, peer_site, node_class): measured
                for (site, peer_site, node_class), measured in network.histograms.items()
            },
        )

    def _ask(
        self, query: str, labels: Sequence[str], now: datetime.datetime
    ) -> answers.ReadHistograms:
        with _told(self._session):
            self._client.headers = self._headers()
            result = self._client.custom_query(
                query,
                params={"time": f"{now.timestamp():.3f}", "timeout": f"{SERVER_SECONDS}s"},
                timeout=SERVER_SECONDS + 2,
            )
            warned = answers.warnings(json.loads(self._session.last))
            if warned:
                raise source.HistoryError(
                    f"Prometheus warns, so that its answer may not be whole: {'; '.join(warned)}"
                )
            return answers.read(result, labels)

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}

    def _say(self, refused: Mapping[str, int]) -> None:
        """Say once which histograms are not believed, until it is others."""
        if refused != self._refused and refused:
            causes = ", ".join(f"{count}: {cause}" for cause, count in sorted(refused.items()))
            log.warning("of Prometheus' histograms some count as unknown (%s): agents of several"
                        " releases, or rules that rewrite their series?", causes)  # fmt: skip
        self._refused = refused


@contextlib.contextmanager
def _told(session: bounded.BoundedSession) -> Any:
    """Make what can go wrong with an answer one error."""
    try:
        yield
    except exceptions.PrometheusApiClientException as error:
        refusal = printable.clean(session.last.decode(errors="replace"), 300)
        raise source.HistoryError(f"Prometheus refuses: {refusal}") from error
    except requests.exceptions.JSONDecodeError as error:
        raise _strange(error) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise source.HistoryError(printable.clean(error, 300)) from error
    except STRANGE as error:
        raise _strange(error) from error


def _strange(error: Exception) -> source.HistoryError:
    return source.HistoryError(f"what answers is no Prometheus: {type(error).__name__}")
