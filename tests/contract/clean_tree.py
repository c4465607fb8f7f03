"""Fail when generated files differ from what is committed (called by `make verify`)."""

import subprocess
import sys


def main(folders: list[str]) -> int:
    """Print what `git status` has to say about the folders; 1 when that is anything."""
    command = ["git", "status", "--porcelain", "--untracked-files=all", "--", *folders]
    changed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if changed:
        print(
            "generated files are not what is committed; run `make generate` and commit:",
            file=sys.stderr,
        )
        print(changed, end="", file=sys.stderr)
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
