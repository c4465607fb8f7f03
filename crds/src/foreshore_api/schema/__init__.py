"""Everything that is generated from the types: CRDs, their chart copies, JSON Schemas, pages.

    v1alpha1 ──Pydantic──► JSON Schema ──structural──► spec, status ──prose──► definition (CRD)
       │                                                   │                      ├─► blocks (YAML)
       └──► documents (wire)                               └─► FIELDS.md          └─► chart (Helm)
    reasons ──► REASONS.md

`render` is pure and gives texts by path; only `python -m foreshore_api.schema` writes them.
"""

from __future__ import annotations

from foreshore_api import meta, v1alpha1
from foreshore_api.reasons import domains
from foreshore_api.schema import blocks, chart, definition, documents, reasons, reference

MARK = "# Generated from crds/src/foreshore_api by `make generate`. Edits are overwritten.\n"


def render() -> dict[str, str]:
    """Return every generated file: path from the root of the repository, and text."""
    files: dict[str, str] = {}
    for kind in v1alpha1.KINDS:
        crd = definition.document(kind)
        name = f"{meta.GROUP}_{kind.plural}.yaml"
        files[f"crds/{name}"] = MARK + blocks.render(crd)
        files[f"charts/foreshore-crds/templates/{name}"] = MARK + chart.template(crd)
    for document in documents.DOCUMENTS:
        files[f"crds/wire/{documents.name(document)}.schema.json"] = documents.render(document)
    files["crds/FIELDS.md"] = reference.render(v1alpha1.KINDS)
    files["crds/REASONS.md"] = reasons.render(domains.TABLES)
    return files
