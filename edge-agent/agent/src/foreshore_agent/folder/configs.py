"""What an inference server of folder mode is told of its model: a pure translation."""

from pathlib import Path
from typing import Any

from foreshore_api.v1alpha1 import modelversion
from foreshore_api.wire import assignment, serving


def of(
    model: assignment.AssignedModel, resources: Path, credentials: Path | None
) -> serving.ModelConfig:
    """Return the configuration of a model whose files are in these folders."""
    return serving.ModelConfig(
        name=model.name,
        version=model.version,
        digest=model.artefact.digest,
        source=_source(model.artefact.source, resources, credentials),
        inputs=tuple(map(_tensor, model.model.inputs)),
        outputs=tuple(map(_tensor, model.model.outputs)),
    )


def _source(
    source: modelversion.Source, resources: Path, credentials: Path | None
) -> serving.Source:
    if source.https is None:
        path = source.file.path if source.file is not None else ""
        return serving.Source(file=serving.FileSource(path=str(resources / path)))
    reference = source.https.ca_secret_ref
    ca_file = None
    if reference is not None:
        folder = credentials or resources / "credentials"
        ca_file = str(folder / reference.name / "ca.crt")
    return serving.Source(https=serving.HttpsSource(url=source.https.url, ca_file=ca_file))


def _tensor(declared: Any) -> serving.DeclaredTensor:
    return serving.DeclaredTensor(
        name=declared.name, data_type=declared.data_type, shape=tuple(declared.shape)
    )
