"""The gates: one function each, a name and facts in, facts and one entry out.

    data      can the inputs be believed, does the policy apply, has the model answered
    rules     what the author of the policy wants
    safety    what the actuator may get, and how often
    people    what a person has switched off or keeps for a person
    rights    which agent may act

A gate never raises for what it is given, never reads a clock and changes nothing. What it looked at
goes into the operands of its entry; how close it was goes into the margin. `chain.order` says in
which order they are asked and gives each its name.
"""
