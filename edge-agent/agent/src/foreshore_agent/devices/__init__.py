"""The devices of a site: what the runtime needs of them, and who speaks their protocols.

port      commands and advice out, samples and answers in: all that the runtime knows
codecs/   what a payload says, one module a dialect; the same over any protocol
mqtt/     the one protocol so far
"""
