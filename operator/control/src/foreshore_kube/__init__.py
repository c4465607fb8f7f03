"""The way to the Kubernetes API server, for operator and hub; only here is a client imported.

config     where the API server is and who we are
kinds      which resource a document is, and its path
api        one request at a time: get, list, watch, apply, create, replace, delete
backoff    how long to wait before the next try
informer   a mirror of one kind, kept by list and watch
elector    which replica may write
apply      writes: no-ops skipped, paced, only while leading
listening  the sockets of whoever has the way: both families of addresses
"""
