"""A folder of YAML as the source of assignments: an agent without a cluster.

folder   reads, compiles, keeps what worked

Its models are answered for by `hosting`.
"""
