"""MQTT 3.1.1 and 5.0 as bytes: what a client sends and what a broker answers, and nothing else.

Pure: no socket, no clock, no loop. `encode` makes packets, `decode` takes a stream apart, `codes`
names what a broker answers. `connection` is the only caller.

A client library would be less to look after; `tests/bench/clients.py` shows why there is none: the
nearest one costs several times the processor time of a message, a quarter of a decision's. What is
left out is what the agent never does: QoS 2 in either direction, retaining, topic aliases,
enhanced authentication, sessions that outlive their connection.
"""
