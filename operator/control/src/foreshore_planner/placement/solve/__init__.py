"""Nodes for all slots that need one in a pass, as one batch of columns.

`problem` says what is asked, `batch.solve` answers; the reference plan and the fold both call it.
"""
