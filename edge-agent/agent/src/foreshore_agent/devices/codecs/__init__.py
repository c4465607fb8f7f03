"""Dialects that devices speak: commands, answers and measurements as payloads. Pure.

registry   one row a dialect of commands; a device's profile says which
envelope   the dialect of `foreshore_api.wire.command`
payload    what a message says of a device's properties
lookup     one property in a sample: where it stands, whether it is good, what it means
formats    one row a format of messages that are read; each message is decoded once in each
document   JSON, strictly
text       the bare value
places     where a value stands in a document
values     from what a device says to what it means
moments    a device's own times
leaf       a value as its declared type, and why it is none
"""
