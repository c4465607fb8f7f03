"""The chain: gates over frozen facts, in a fixed order, to a verdict with reasons.

`facts` go in, `evaluate` runs the gates of `order`, `record` writes down what came out. The
functions of the gates are in `foreshore_decision.gates`, with `readings`, `bounding` and `limiter`
beneath; their names, reasons and sentences are one table, `foreshore_api.reasons.decision`, which
`messages` fills in. Pure throughout.
"""
