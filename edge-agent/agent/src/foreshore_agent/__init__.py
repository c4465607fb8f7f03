"""The edge agent: devices on one side, the hub (or a folder) on the other, decisions in between.

engine      pure: step(state, event) → (state, effects)
runtime     carries effects out, turns what happens into events
devices     MQTT: telemetry in, commands out
inference   asks replicas, falls through to the next
hosting     the models that the agent answers for itself, here or in children
journal     durable, chained records
link        where the assignment comes from and records go to: hub or folder
"""
