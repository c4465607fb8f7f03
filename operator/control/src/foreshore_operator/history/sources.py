"""Which sources of priors a running operator asks. Called by `main`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from foreshore_operator import settings
from foreshore_operator.history import hub, keeping, source
from foreshore_planner import priors, snapshot


def chosen(
    operator: settings.OperatorSettings,
    last_seen: Callable[[], snapshot.Snapshot | None],
    count: Callable[[str, str], None],
    stack: contextlib.AsyncExitStack,
) -> tuple[keeping.History, ...]:
    """Return the sources of priors, nearest first.

    `last_seen` says what the last pass saw, `count` hears the source and the outcome of each
    question; `stack` closes what is opened here.
    """
    sources: list[tuple[str, source.LatencySource, priors.PriorOrigin]] = [
        ("Hub", hub.HubHistory(last_seen), priors.PriorOrigin.POOLED)
    ]
    if operator.prometheus_url is not None:
        # the client costs who has none nothing
        from foreshore_operator.history import prometheus

        client = prometheus.PrometheusHistory(
            operator.prometheus_url,
            token_file=operator.prometheus_token_file,
            ca=operator.prometheus_ca,
        )
        stack.callback(client.close)
        sources.append(("Prometheus", client, priors.PriorOrigin.RECORDED))

    def kept_of(
        name: str, asked: source.LatencySource, origin: priors.PriorOrigin
    ) -> keeping.History:
        return keeping.History(
            asked, name, count=lambda outcome: count(name, outcome), origin=origin
        )

    return tuple(kept_of(*named) for named in sources)
