from pathlib import Path

import pytest

from foreshore_agent.hosting import store
from foreshore_serving import evidence, models

BODY = b"the artefact"
DIGEST = models.digest_of(BODY)
SHOWN = evidence.TrialEvidence("c", "r", "CPU", "a", 1e-6, 10, 20, is_bounded=True)


@pytest.fixture
def kept(tmp_path: Path) -> store.ModelStore:
    found = store.ModelStore(tmp_path / "models")
    models.keep(found.body_path(DIGEST), BODY)
    models.keep(found.body_path(DIGEST).with_suffix(".json"), SHOWN.encode())
    return found


def test_what_a_trial_left_is_found_again(kept: store.ModelStore) -> None:
    assert kept.body(DIGEST, 100) == BODY
    assert kept.evidence(DIGEST) == SHOWN


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY + b"!", id="longer"),
        pytest.param(BODY[:-1], id="shorter"),
        pytest.param(b"another mod", id="others"),
    ],
)
def test_bytes_that_changed_on_the_disk_are_never_loaded(
    kept: store.ModelStore, body: bytes
) -> None:
    kept.body_path(DIGEST).write_bytes(body)
    assert kept.body(DIGEST, 100) is None
    assert not kept.body_path(DIGEST).exists()


def test_a_file_larger_than_may_be_is_not_read_to_its_end(kept: store.ModelStore) -> None:
    assert kept.body(DIGEST, len(BODY) - 1) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="nothing in it"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(SHOWN.encode()[:-1], id="cut"),
        pytest.param(SHOWN.encode().replace(b"10", b'"10"'), id="a text for a number"),
        pytest.param(SHOWN.encode().replace(b"{", b'{"more": 1, ', 1), id="of a later release"),
    ],
)
def test_evidence_that_cannot_be_read_is_as_none(kept: store.ModelStore, body: bytes) -> None:
    kept.body_path(DIGEST).with_suffix(".json").write_bytes(body)
    assert kept.evidence(DIGEST) is None


def test_no_more_is_kept_than_is_wanted(kept: store.ModelStore) -> None:
    (kept.folder / f"{'01' * 32}.onnx.fresh").write_bytes(b"of a trial that was cut off")
    (theirs := kept.folder / "mine.onnx").write_bytes(b"a person's")
    kept.keep_only([DIGEST])
    assert len(list(kept.folder.iterdir())) == 3
    kept.drop_body(DIGEST)
    assert kept.evidence(DIGEST) == SHOWN
    kept.keep_only([])
    assert list(kept.folder.iterdir()) == [theirs]
