"""Asking replicas of a model: who is asked first, how long, what counts as an answer.

`pool` is what the runtime calls; `replica` speaks to one of them, `answer` checks what it said.
"""
