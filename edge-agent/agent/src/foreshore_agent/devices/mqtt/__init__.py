"""Devices that speak MQTT: the only place of the agent that knows the protocol.

`topics`, `translate` and `codec` are pure; `connection` is one session with a broker, `lane` one
after another; `broker` keeps two of them and lends channels (`channel`) to the site's devices
(`devices`) and to the site's agents (`foreshore_agent.site`). The verbs `play` and
`rehearse --live` use `connection` from the device's side.
"""
