"""The decision engine, pure: what agent, hub, operator and command line decide and explain alike.

    expr, features, policy   what a policy says, compiled against its device and model
    chain                    the ordered gates, and the verdict of one pass over frozen facts
    fencing                  whether a holder may still act
    assignment               the desired state of one agent, compiled from resources
    record, explain, replay  what is written down, said about it, and run again

Nothing here reads a clock, a file or a socket: `now` and identities are arguments.
"""
