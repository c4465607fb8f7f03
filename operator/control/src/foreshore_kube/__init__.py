"""The way to the Kubernetes API server, for operator and hub; only here is a client imported.

config     where the API server is and who we are
kinds      which resource a document is, and its path
api        one request at a time: get, list, watch, apply, create, replace, delete
backoff    how long to wait before the next try
mirror     the decoded objects of one kind, each difference reported once
informer   a mirror kept by list and watch
intake     a mirror fed by somebody else's watch, mended by lists
elector    which replica may write
apply      writes: no-ops skipped, paced, only while leading
turns      how threads take turns beside the loop
listening  the sockets of whoever has the way: both families of addresses
"""
