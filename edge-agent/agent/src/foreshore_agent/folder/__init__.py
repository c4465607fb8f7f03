"""A folder of YAML as the source of assignments: an agent without a cluster.

folder     reads, compiles, keeps what worked
children   the inference servers of its models, as processes of this machine
configs    what a server is told of its model
"""
