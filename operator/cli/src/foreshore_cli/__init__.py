"""`kubectl foreshore`: what is there, where it runs, and why it did what it did.

main ─► status | placements | why ─► api (reads, bounded) ─► report (pure) ─► terminal

It talks to the API server and to nothing else. `--help` and completion import neither the
Kubernetes client nor the contract nor rich: every verb is imported when it runs.
"""
