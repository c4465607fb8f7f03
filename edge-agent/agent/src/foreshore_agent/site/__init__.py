"""What the agents of one site say to each other over its broker: beats, requests, renewals.

    messages    topics, and bytes ↔ wire documents
    exchange    what is sent and heard over the control connection; whether the agent is deaf
    peers       who is there, whose renewal is passed on

Nothing here is about devices, and nothing of a device protocol is known here but the channel that
the site's broker lends (`devices.mqtt.channel`).
"""
