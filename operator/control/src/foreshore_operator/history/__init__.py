"""What was measured before, from a Prometheus that scrapes the agents: priors, never liveness.

`source` is the port, `sources` chooses who is asked, `prometheus` asks, `answers` reads what comes
back, `bounded` keeps an answer from being larger or slower than it may. The planner reads the
outcome as `LatencyPriors`.
"""
