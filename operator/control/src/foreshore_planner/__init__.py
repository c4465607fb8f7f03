"""The planner: one frozen snapshot of the world in, one plan with reasons out; no I/O, no clock."""
