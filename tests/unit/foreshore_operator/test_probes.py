"""What kubelet is told of an operator that waits, and of one that hangs."""

from foreshore_operator import metrics


def test_an_api_server_that_was_away_for_long_leaves_the_first_pass_its_time() -> None:
    """The mirrors were filled after minutes, and the process was to be restarted at once."""
    now, is_synced = [0.0], [False]
    probes = metrics.ProbeState(lambda: is_synced[0], clock=lambda: now[0])
    for now[0] in (10.0, 600.0):
        assert probes.is_alive
    is_synced[0] = True
    now[0] += metrics.HANGING - 1
    assert probes.is_alive
    now[0] += 1
    assert not probes.is_alive, "no pass has ended"
    probes.passed()
    assert probes.is_alive
