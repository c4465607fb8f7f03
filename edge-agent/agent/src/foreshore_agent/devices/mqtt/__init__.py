"""Devices that speak MQTT: the only place of the agent that knows a client library.

`payload`, `topics` and `events` are pure; `connection` is one session with a broker; `broker` is
what the runtime holds: two connections of one site, kept up, turned into engine events. The verbs
`play` and `rehearse --live` use `connection` from the device's side.
"""
