"""Inference: what the runtime asks, and who answers.

port     questions of tensors, answers of outputs: all that the runtime knows
pool     every replica by policy, over which `race` runs one question; a `replica` is rested
         when it is bad
own_first  a model in this process is asked before them
oip/     how a replica is spoken to: the Open Inference Protocol over HTTP
local/   how a model in this process is asked
"""
