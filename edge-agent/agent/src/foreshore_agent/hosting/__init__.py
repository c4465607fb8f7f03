"""The models that this agent answers for itself: in its own process, or in children beside it.

models     which are needed by the policies, and which are named to the engine
hosts      one model, wherever it runs: here where it may, else in a child in its place
residents  the models in this process: tried, given room, loaded
trials     a model's trial in a limited child, before it is loaded here
store      the bytes and what a trial showed, in the state directory
marks      which digests were loaded when the agent ended uncleanly
room       how much memory models may take here
children   inference servers as processes of this machine
own        all of these, put together for one agent
hub        which models of a cluster's assignment this agent answers for

How a loaded model is asked is `inference.local`'s.
"""
