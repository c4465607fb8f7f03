from pathlib import Path

import pytest

from foreshore_agent import manifests


def read(folder: Path, text: str | bytes, name: str = "a.yaml") -> list[object]:
    body = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(body)
    return [
        one.data if isinstance(one, manifests.Manifest) else str(one)
        for one in manifests.read(folder)
    ]


def test_several_documents_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("x: 1\n---\n---\nx: 2\n")
    (tmp_path / "a.json").write_text('{"x": 0}')
    found = [one for one in manifests.read(tmp_path) if isinstance(one, manifests.Manifest)]
    assert [one.place for one in found] == ["a.json#1", "b.yaml#1", "b.yaml#3"]


def test_what_looks_like_a_date_or_base_60_stays_text(tmp_path: Path) -> None:
    text = "a: 2020-01-01\nb: 1:30\nc: 007\nd: 0x10\ne: 0.01\nf: -22\ng: 1e3\nh: .inf"
    assert read(tmp_path, text) == [
        {
            "a": "2020-01-01",
            "b": "1:30",
            "c": "007",
            "d": "0x10",
            "e": 0.01,
            "f": -22,
            "g": 1000.0,
            "h": ".inf",
        }
    ]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        pytest.param("a: &x 1\nb: *x\n", "alias", id="an alias, so no billion laughs"),
        pytest.param("a: 1\na: 2\n", "'a' appears twice", id="a key twice"),
        pytest.param("[" * 3000, "deeper", id="endless nesting"),
        pytest.param("a: [1\n", "expected", id="half a list"),
        pytest.param("- 1\n", "no mapping", id="a list at the top"),
        pytest.param("a: !!python/object:os.system {}", "constructor", id="a tag that builds"),
        pytest.param(b"a: \xff\xfe\n", "unacceptable", id="no UTF-8"),
        pytest.param("? [1]\n: 2\n", "not a text", id="a key that is not a text"),
        pytest.param("a: 1\n" * 300_000, "larger", id="too large"),
    ],
)
def test_a_hostile_file_is_refused_with_its_name(
    tmp_path: Path, body: str | bytes, complaint: str
) -> None:
    (said,) = read(tmp_path, body)
    assert isinstance(said, str)
    assert said.startswith("a.yaml: ")
    assert complaint in said


def test_a_file_with_a_mistake_is_not_half_read(tmp_path: Path) -> None:
    (said,) = read(tmp_path, "a: 1\n---\nb: 1\nb: 2\n")
    assert "appears twice" in str(said)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder.yaml").mkdir()
    assert list(manifests.read(tmp_path)) == []


def test_a_missing_folder_is_an_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(manifests.UnreadableError, match="nowhere"):
        list(manifests.read(tmp_path / "nowhere"))


def test_a_change_changes_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: 1")
    before = manifests.fingerprint(tmp_path)
    assert manifests.fingerprint(tmp_path) == before
    (tmp_path / "a.yaml").write_text("x: 12")
    assert manifests.fingerprint(tmp_path) != before
