"""The CRDs as Helm templates: installed and upgraded with the chart, kept when it goes.

Helm's own `crds/` folder is never upgraded, so they are templates. `keep` leaves them, and with
them every object of the kinds, when the release is uninstalled.
"""

from __future__ import annotations

from foreshore_api.schema import blocks

ANNOTATIONS = """\
  annotations:
    argocd.argoproj.io/sync-wave: "-10"
    {{- if .Values.keep }}
    helm.sh/resource-policy: keep
    {{- end }}
    {{- with .Values.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
"""


def template(definition: dict[str, object]) -> str:
    """Return the Helm template of a CustomResourceDefinition."""
    text = blocks.render(definition)
    if "{{" in text:
        raise ValueError("a description would be taken for a template")
    head, spec = text.split("\nspec:\n", 1)
    return f"{head}\n{ANNOTATIONS}spec:\n{spec}"
