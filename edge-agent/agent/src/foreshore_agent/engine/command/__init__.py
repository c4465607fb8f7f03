"""Commands of a device, from the verdict to the last word about them.

`table` is the life of one command, `life` takes what happens into it, `ledger` is the book that a
device keeps of commands, tokens and holds, `read_back` says whether measurements show what was
commanded.
"""
