"""The cluster harness: real Kubernetes, real brokers, real node faults, for tests and the demo.

Tests reach it through the fixtures of `tests/cluster/conftest.py`; people through
`uv run python tests/cluster/harness --help`. No test calls docker, kind or helm by itself.

    cache          where built things live and how they are keyed
    process        running commands, progress, errors that say what to do
    certificates   throw-away authorities and the identities they issue
    apiserver      a plain kube-apiserver with its etcd
    mosquitto      a broker on loopback
"""
