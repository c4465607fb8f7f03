"""The inference server as a child of the agent: it ends with the agent, however early that dies.

    python -m foreshore_serving.attached <process ID of the agent> run --model-config …

Importing the command line takes a second, in which the agent may be killed. So the one who starts
says who he is, and this looks before it imports anything else: asked later, the kernel would name
whoever has adopted us since. What the kernel is told here holds over the exec that `main` does.
"""

import sys

from foreshore_serving import limits


def main() -> None:
    """Follow the agent, then run the command line with what is left of the arguments."""
    limits.follow_parent(int(sys.argv.pop(1)))
    from foreshore_serving import main as command_line  # not before: it takes long

    command_line.main()


if __name__ == "__main__":
    main()
