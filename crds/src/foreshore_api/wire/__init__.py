"""Every document that two processes of Foreshore share.

One module a subject; import the module, not the names.
"""
