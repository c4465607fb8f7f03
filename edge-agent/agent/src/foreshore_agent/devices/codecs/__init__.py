"""Dialects that devices speak: effects of the engine as payloads. Pure."""
