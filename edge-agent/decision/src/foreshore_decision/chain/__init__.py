"""The chain: gates over frozen facts, in a fixed order, to a verdict with reasons.

`facts` go in, `evaluate` runs the gates of `order`, `record` writes down what came out. `gates`
holds one function a gate, with `readings`, `bounding` and `limiter` beneath; `reasons` and
`messages` are the only places where codes and sentences are written. Pure throughout.
"""
