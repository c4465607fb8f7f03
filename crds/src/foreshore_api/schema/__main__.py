"""`python -m foreshore_api.schema`: write what is generated into the work tree around it.

Files that were generated before and are no longer rendered are removed, so that a renamed kind
leaves nothing behind.
"""

from __future__ import annotations

import sys
from pathlib import Path

from foreshore_api import meta, schema

GENERATED = (
    f"crds/{meta.GROUP}_*.yaml",
    "crds/wire/*.schema.json",
    f"charts/foreshore-crds/templates/{meta.GROUP}_*.yaml",
)


def main() -> int:
    """Write the files that differ, remove those that are gone, say which."""
    root = Path(__file__).parents[4]
    if not (root / "crds" / "pyproject.toml").is_file():
        print(f"{root} is not the work tree of Foreshore", file=sys.stderr)  # noqa: T201
        return 2
    files = schema.render()
    for path in sorted({generated for pattern in GENERATED for generated in root.glob(pattern)}):
        if str(path.relative_to(root)) not in files:
            path.unlink()
            print(f"removed {path.relative_to(root)}")  # noqa: T201
    for name, text in files.items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
