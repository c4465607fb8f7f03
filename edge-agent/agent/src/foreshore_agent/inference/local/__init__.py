"""Models in the agent's own process (isolation Agent): answered without a socket and a copy.

port      what is asked of a loaded model
session   one in the runtime, with the checks of the inference server: heavy, imported when needed
worker    the thread of a model, where it is loaded and where slow calls run
runner    in the loop's turn or in the thread, by how long the calls take
replica   the endpoint of a policy that such a model answers for

Which models are loaded, and whether they may be, is `hosting`'s to decide.
"""
