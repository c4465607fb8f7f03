"""MQTT 3.1.1 and 5.0 as bytes: what a client sends and what a broker answers, and nothing else.

Pure: no socket, no clock, no loop. `encode` makes packets, `decode` takes a stream apart, `codes`
names what a broker answers. `connection` is the only caller.

A client library would be less to look after; `tests/bench/clients.py` shows why there is none.
paho, which was here before, took 80 µs of the loop for a sample and its command where this takes
30. gmqtt is nearly as quick, but connects again, queues and sends again by itself, and neither lets
the loop know at once whether the network took a command.

What is left out is what the agent never does: QoS 2 in either direction, topic aliases,
enhanced authentication, sessions that outlive their connection.
"""
