"""The operator: what people want and what agents say, turned into Pods, rights and status.

observe ─► decide (foreshore_planner) ─► act, again and again, only the leader writing

main          the command line and the tasks of the process
settings      what it was started with
passes        when a pass is due, and what happens in it
dirty         what changed since the last pass, and how long to wait for more
store         mirrors of everything a pass looks at, from Kopf and from informers
hosts         those of nodes, Leases and pods, and what is counted from them
ordered       a mirror's objects in order, changes what of them changed
nodes, pods   what a pass needs of a Node, a Lease, a Pod
compilation   whether each policy compiles for the devices it selects
measure       the agents' evidence, from the hub
observe       all of it as one frozen snapshot
act           a plan, written
events        transitions, for people who look at `kubectl events`
manifests     how the objects that the operator owns look
handlers      Kopf, for the kinds that people edit: a handler only hands the event over
metrics       Prometheus metrics and the probes' endpoints
"""
