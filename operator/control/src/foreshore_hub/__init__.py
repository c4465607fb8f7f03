"""The hub: the agents' door and the record store, started by `main`."""
