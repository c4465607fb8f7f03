"""Dialects that devices speak: commands, answers and measurements as payloads. Pure.

registry   one row a dialect of commands; a device's profile says which
envelope   the dialect of `foreshore_api.wire.command`
payload    measurements as JSON
"""
