"""The agent's shell: `core` hosts the engine, `agent` puts the parts together."""
