"""What a name may have been meant to be."""

from foreshore_api import hints


def test_the_likeliest_comes_first_and_the_rest_in_order() -> None:
    assert hints.among("c02", ["light", "co2"]) == "did you mean co2? Known: co2, light"
    assert hints.among("zzz", ["light", "co2"]) == "known: co2, light"
    assert hints.among("zzz", []) == "there is none"


def test_a_long_list_is_cut() -> None:
    said = hints.among("x", [f"property{n:02}" for n in range(40)])
    assert said.endswith("property11 and 28 more")
