"""The README's table comes out of the bench: `make bench` writes it between two marks."""

from pathlib import Path

from bench import figures

README = Path(__file__).parents[3] / "README.md"


def test_the_readme_has_the_marks_between_which_the_bench_writes() -> None:
    page = README.read_text()
    assert figures.placed(page, "x") != page
    assert page.count(figures.BEGIN) == page.count(figures.END) == 1
