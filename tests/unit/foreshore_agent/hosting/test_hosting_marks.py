"""What the lives of an agent leave about the models that were in its process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import hosting
from foreshore_agent.hosting import marks

DIGEST, OTHER = "sha256:" + "ab" * 32, "sha256:" + "cd" * 32


async def lived(kept: hosting.KeptMarks, *digests: str, boot: str = hosting.BOOT) -> None:
    """One life that loads models and ends well."""
    ends = await loaded(kept, *digests, boot=boot)
    for digest in digests:
        await ends.end(digest)


async def loaded(
    kept: hosting.KeptMarks, *digests: str, boot: str = hosting.BOOT
) -> marks.UncleanEnds:
    """One life that loads models and is gone."""
    ends = kept.ends(boot)
    for digest in digests:
        await ends.begin(digest)
    return ends


async def test_each_unclean_end_counts_once_and_a_clean_one_not_at_all() -> None:
    kept = hosting.KeptMarks()
    await lived(kept, DIGEST)
    assert kept.ends().count(DIGEST) == 0
    await loaded(kept, DIGEST)
    assert kept.ends().count(DIGEST) == 1
    assert kept.ends().count(DIGEST) == 1, "a life that loaded nothing changes nothing"
    await lived(kept, DIGEST)
    assert kept.ends().count(DIGEST) == 1, "a clean end takes no suspicion away"
    await loaded(kept, DIGEST)
    assert kept.ends().count(DIGEST) == marks.MAXIMUM_UNCLEAN


async def test_a_mark_is_durable_before_the_model_is_used() -> None:
    kept = hosting.KeptMarks()

    async def fails(key: str, value: bytes) -> None:
        raise OSError(f"no room for {key}: {value!r}")

    with pytest.raises(OSError, match="no room"):
        await marks.UncleanEnds(fails, hosting.BOOT, {}).begin(DIGEST)
    await kept.ends().begin(DIGEST)
    assert kept.ends().count(DIGEST) == 1


async def test_a_mark_that_could_not_be_kept_stands_for_no_use() -> None:
    kept = hosting.KeptMarks()
    is_full = True

    async def keep(key: str, value: bytes) -> None:
        await kept.keep(key, value)
        if is_full and value:
            raise OSError("durable all the same")

    ends = marks.UncleanEnds(keep, hosting.BOOT, {})
    with pytest.raises(OSError, match="durable all the same"):
        await ends.begin(DIGEST)
    assert kept.ends().count(DIGEST) == 0
    is_full = False
    await ends.begin(DIGEST)
    await ends.end(DIGEST)
    assert kept.ends().count(DIGEST) == 0


async def test_a_new_boot_clears_and_forgets_what_others_left() -> None:
    kept = hosting.KeptMarks()
    await loaded(kept, DIGEST, OTHER)
    await loaded(kept, DIGEST)
    assert kept.ends("boot-2").count(DIGEST) == 0
    await lived(kept, OTHER, boot="boot-2")
    assert set(kept.kept.values()) == {b""}


async def test_a_digest_that_two_models_share_stands_until_both_are_gone() -> None:
    kept = hosting.KeptMarks()
    ends = await loaded(kept, DIGEST, DIGEST)
    await ends.end(DIGEST)
    assert kept.ends().count(DIGEST) == 1
    await ends.end(DIGEST)
    assert kept.ends().count(DIGEST) == 0


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"boot": 1}', b'{"boot":"b","ends":-1}'])
def test_a_mark_that_cannot_be_read_keeps_no_agent_from_starting(body: bytes) -> None:
    kept = hosting.KeptMarks({marks.PREFIX + DIGEST: body})
    assert kept.ends().count(DIGEST) == 0


@given(lives=st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=12))
async def test_it_is_counted_by_the_ends_of_this_boot_alone(
    lives: list[tuple[bool, int]],
) -> None:
    kept, boot, expected = hosting.KeptMarks(), 0, 0
    for is_clean, boots in lives:
        if boots:
            boot, expected = boot + boots, 0
        assert kept.ends(str(boot)).count(DIGEST) == expected
        await (lived if is_clean else loaded)(kept, DIGEST, boot=str(boot))
        expected += not is_clean
    assert kept.ends(str(boot)).count(DIGEST) == expected
