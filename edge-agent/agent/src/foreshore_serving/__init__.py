"""The inference server: ONNX over the Open Inference Protocol v2, one model version a process.

Two processes. The parent (`main`, `supervise`) fetches the artefact, verifies it, binds the address
and watches. The child (`child`), started with lowered limits, loads the bytes (`session`), warms up
and serves HTTP on the listening socket it inherits, so that no request crosses a second process.
While there is no child that serves, the parent answers on the same socket
with 503 and the reason (`standin`), so that callers turn elsewhere at once.

    fetch ──► spawn child: vet, load, check, warm ──ready──► serving ──crash, stall──► back off,
      │                        │                                │                      spawn again
      └─ FetchFailed, exit 4   └─ refused, exit 3               └─ SIGTERM: drain, exit 0

An agent that is to run a model itself has it tried first: `main try` starts the same child with
nothing to listen on, and leaves the bytes and the `evidence` of the `trial`. A file that nobody
declared yet is looked into by another child with the same limits: `inspection`, `inspector`.
"""
