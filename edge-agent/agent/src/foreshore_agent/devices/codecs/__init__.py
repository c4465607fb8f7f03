"""Dialects that devices speak: commands, answers and measurements as payloads. Pure.

registry   one row a dialect of commands; a profile's action says which
envelope   the dialect of `foreshore_api.wire.command`
dialect    the device's own: what the action's expression gives, as JSON or text
reply      answers in the device's own words
payload    measurements as JSON
"""
