"""The hub as a source of assignments, and where records and reports go.

hub    asks for assignments and renewals, ships records and reports, until cancelled
door   one call of the hub's HTTP interface
"""
