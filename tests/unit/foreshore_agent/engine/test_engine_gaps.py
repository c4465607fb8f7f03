"""What devices say only when it changes, across gaps, and devices that come and go."""

from collections.abc import Callable
from typing import Any

import immutables
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import cold_store, room
from builders.cold_store import ColdStore
from builders.engine_rig import DEVICE, OCCUPIED, POLICY, Rig, assign
from foreshore_agent.engine import effects, events, presence, sampling, view
from foreshore_agent.engine.state import DeviceState
from foreshore_api.reasons import decision as reasons
from foreshore_decision.chain import readings
from foreshore_decision.record import replay

CLOSED, OPEN = True, False


def warm(store: ColdStore) -> tuple[str, str]:
    """Let a measurement trigger the policy; return what was decided."""
    store.says(temperature=25.0, airflow=200.0)
    return store.rig.counted[-1]


COMMANDED = ("Commanded", "Warm")


def test_a_door_that_was_opened_while_nobody_listened_is_not_believed_closed() -> None:
    """Regression: the broker restarts, the door opens, and the agent went on by "closed"."""
    store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
    store.is_online(True)
    store.says(contact=CLOSED)
    assert warm(store) == COMMANDED
    store.rig.wait(600, period=5)
    store.loses_telemetry()
    assert warm(store) == ("NotApplicable", "ConnectionGap")  # it came before, and waited
    store.rig.wait(20)
    store.is_online(True, retained=True)
    store.says(contact=OPEN, retained=True)
    store.hears_again()
    store.rig.wait(75, period=5)
    assert warm(store) == ("NotTriggered", "NoRulePermits")
    assert store.believed("contact") is OPEN


def test_without_the_devices_word_nothing_is_believed_after_a_gap() -> None:
    store = ColdStore()
    store.says(contact=CLOSED)
    store.loses_telemetry()
    store.rig.wait(1)
    store.hears_again()
    assert warm(store) == ("NotApplicable", "ConnectionGap")
    assert store.rig.decisions[-1]["inputs"][0]["problem"] == "ConnectionGap"
    store.says(contact=CLOSED)
    assert warm(store) == COMMANDED


def test_what_is_measured_again_and_again_only_ages_in_a_gap() -> None:
    store = ColdStore()
    store.says(temperature=25.0)
    store.loses_telemetry()
    store.rig.wait(20)
    store.hears_again()
    assert store.believed("temperature") == 25.0


def test_a_value_that_waited_while_the_connection_went_stays_void() -> None:
    store = ColdStore()
    store.loses_telemetry()
    store.says(contact=CLOSED)
    assert store.results[-1] == "Late"
    store.hears_again()
    assert store.believed("contact") is None


def test_a_connection_that_went_before_it_was_up_makes_void_what_it_brought() -> None:
    store = ColdStore()
    store.is_online(True)
    store.loses_telemetry()
    store.rig.wait(1)
    store.says(contact=CLOSED)
    store.loses_telemetry()
    assert store.problem("contact") == "ConnectionGap"
    store.rig.wait(1)
    store.says(contact=OPEN, retained=True)
    store.is_online(True, retained=True)
    store.hears_again()
    assert store.believed("contact") is OPEN


def test_what_waited_longer_than_a_gap_is_from_before_it() -> None:
    store = ColdStore()
    store.loses_telemetry()
    store.rig.wait(2)
    store.rig.feed(events.Sample, device=DEVICE, values={"contact": CLOSED}, waited=2.5)
    assert store.believed("contact") is None
    store.is_online(True)
    store.rig.feed(events.Sample, device=DEVICE, values={"contact": CLOSED}, waited=1.5)
    assert store.input("contact").age == pytest.approx(1.5)


def test_nothing_stands_in_for_a_word_that_was_dropped_unread() -> None:
    store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
    store.says(contact=CLOSED)
    assert warm(store) == COMMANDED
    store.rig.feed(events.Sample, device=DEVICE, values={}, refused={"contact": "Dropped"})
    assert warm(store) == ("NotApplicable", "InputRefused")
    store.rig.feed(events.Sample, device=DEVICE, values={}, refused={"contact": "WrongType"})
    assert warm(store) == ("NotApplicable", "InputRefused")


def test_the_last_good_value_stands_in_for_nothing_void() -> None:
    store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
    store.says(contact=CLOSED)
    assert warm(store) == COMMANDED
    store.loses_telemetry()
    store.rig.wait(1)
    store.hears_again()
    assert warm(store) == ("NotApplicable", "ConnectionGap")
    # a word that cannot be read says at least that there is a newer one
    store.rig.feed(events.Sample, device=DEVICE, values={}, refused={"contact": "WrongType"})
    assert warm(store) == ("NotApplicable", "InputRefused")


def test_a_kept_word_without_a_time_has_no_known_age() -> None:
    store = ColdStore(cold_store.profile(has_availability=False), cold_store.policy())
    store.says(contact=CLOSED, retained=True)
    assert warm(store) == ("NotApplicable", "InputAgeUnknown")
    assert "ageSeconds" not in store.rig.decisions[-1]["inputs"][0]


@pytest.mark.parametrize(
    ("ago", "problem"),
    [
        pytest.param(3600.0, None, id="an hour old"),
        pytest.param(90000.0, "InputStale", id="more than a day old"),
        pytest.param(-4.0, None, id="a clock that is ahead by no more than clocks are"),
        pytest.param(-6.0, "InputAgeUnknown", id="of the future"),
    ],
)
@pytest.mark.parametrize("is_virtual", [False, True])
def test_a_kept_word_is_as_old_as_the_device_says(
    ago: float, problem: str | None, is_virtual: bool
) -> None:
    store = ColdStore(cold_store.profile(), cold_store.policy(), is_virtual=is_virtual)
    store.says(contact=CLOSED, retained=True, ago=ago)
    assert store.problem("contact") == problem
    if problem is None:
        assert store.input("contact").age == pytest.approx(max(0.0, ago))


def test_the_device_that_is_there_vouches_for_what_the_broker_had_kept() -> None:
    store = ColdStore()
    store.says(contact=CLOSED, retained=True)
    assert store.problem("contact") == "InputAgeUnknown"
    store.is_online(True, retained=True)
    assert warm(store) == COMMANDED
    store.rig.wait(30)
    assert store.input("contact").age == pytest.approx(30.0)
    store.is_online(True)
    assert store.input("contact").age == pytest.approx(0.0)


def test_a_kept_word_that_is_older_than_what_was_heard_last_is_late_for_ever() -> None:
    store = ColdStore()
    store.says(contact=OPEN, ago=0.0)
    store.loses_telemetry()
    store.rig.wait(sampling.RESET_SECONDS + 60, period=5)
    store.says(contact=CLOSED, retained=True, ago=sampling.RESET_SECONDS + 600)
    assert store.results[-1] == "Late"
    assert store.problem("contact") == "ConnectionGap"


def test_the_same_word_with_the_same_time_is_news_after_a_gap() -> None:
    for retained in (True, False):
        store = ColdStore()
        store.says(contact=CLOSED, ago=0.0)
        store.loses_telemetry()
        store.rig.wait(20)
        store.hears_again()
        store.says(contact=CLOSED, ago=20.0, retained=retained)
        assert store.believed("contact") is CLOSED


def test_a_kept_word_never_replaces_a_live_one() -> None:
    store = ColdStore()
    store.says(contact=OPEN)
    store.says(contact=CLOSED, retained=True, ago=0.0)
    assert store.results[-1] == "Retained"
    assert store.believed("contact") is OPEN


def test_a_kept_word_counts_once() -> None:
    store = ColdStore()
    store.says(contact=CLOSED, retained=True)
    store.says(contact=CLOSED, retained=True)
    store.says(contact=OPEN, retained=True)
    assert store.results == ["Accepted", "Duplicate", "Accepted"]


def test_another_word_of_the_same_second_is_no_duplicate() -> None:
    """Regression: a clock of whole seconds stamps both, and "closed" was believed on."""
    store = ColdStore()
    store.says(contact=CLOSED, ago=0.0)
    store.says(contact=OPEN, ago=0.0)
    assert store.believed("contact") is OPEN
    store.says(contact=OPEN, ago=0.0)
    assert store.results[-1] == "Duplicate"


def test_a_word_that_comes_late_and_contradicts_leaves_nothing_to_believe() -> None:
    """Regression: the clock was set back, and the door opened; it will not say so again."""
    store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
    store.says(contact=CLOSED, ago=0.0)
    assert warm(store) == COMMANDED
    store.rig.wait(5)
    store.says(contact=OPEN, ago=3600.0)
    assert store.results[-1] == "Late"
    assert warm(store) == ("NotApplicable", "InputRefused")
    store.says(contact=CLOSED, ago=0.0)
    assert warm(store) == COMMANDED
    store.rig.wait(5)
    store.says(contact=CLOSED, ago=10.0)  # it came twice
    assert warm(store) == COMMANDED


def test_words_that_come_together_newest_first_are_told_apart_by_their_times() -> None:
    store = ColdStore()
    store.says(contact=CLOSED, ago=1.0)
    store.says(contact=OPEN, ago=60.0)
    assert store.believed("contact") is CLOSED


@pytest.mark.parametrize("others", [{}, {"temperature": 25.0}])
def test_a_word_that_cannot_be_read_leaves_no_last_good_one(others: dict[str, Any]) -> None:
    store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
    store.says(contact=CLOSED, ago=0.0, **others)
    assert warm(store) == COMMANDED
    store.rig.feed(
        events.Sample,
        device=DEVICE,
        values=others,
        refused={"contact": "UnknownValue"},
        sampled_at=dict.fromkeys(others, store.rig.at.now),
    )
    assert warm(store) == ("NotApplicable", "InputRefused")


def test_what_was_kept_from_before_the_device_went_is_not_believed() -> None:
    """Another device was added on the topic, and the broker was asked for it again."""
    store = ColdStore()
    store.says(contact=CLOSED)
    store.is_online(False)
    store.rig.wait(1)
    store.is_online(True)
    store.rig.wait(1)
    store.says(contact=CLOSED, retained=True)
    assert store.results[-1] == "Retained"
    assert store.problem("contact") == "DeviceOffline"


@pytest.mark.parametrize("is_word_first", [False, True])
def test_a_device_that_is_gone_when_the_agent_starts_is_not_believed(is_word_first: bool) -> None:
    """Whatever the broker delivers first of what it has kept."""
    store = ColdStore()
    for is_word in (is_word_first, not is_word_first):
        store.rig.wait(1)
        if is_word:
            store.says(contact=CLOSED, retained=True, ago=3600.0)
        else:
            store.is_online(False, retained=True)
    assert store.believed("contact") is None
    store.is_online(True)
    assert store.believed("contact") is None


def test_what_is_no_last_word_any_more_is_void() -> None:
    store = ColdStore()
    store.is_online(True)
    store.says(contact=CLOSED, retained=True)
    assert store.believed("contact") is CLOSED
    ignored = {**cold_store.CONTACT, "retained": "Ignore"}
    store.rig.assign(cold_store.profile(contact=ignored), cold_store.policy())
    assert store.believed("contact") is None


def test_a_kept_word_of_a_measurement_says_nothing() -> None:
    store = ColdStore()
    store.says(temperature=25.0, retained=True)
    assert store.results == ["Retained"]
    assert store.believed("temperature") is None


def test_a_kept_word_triggers_as_any_other() -> None:
    on_contact = room.changed(cold_store.policy(), spec__trigger={"properties": ["contact"]})
    store = ColdStore(cold_store.profile(), on_contact)
    store.is_online(True)
    store.says(temperature=25.0, airflow=200.0)
    assert store.rig.counted == []
    store.says(contact=CLOSED, retained=True)
    assert store.rig.counted == [COMMANDED]


def test_a_kept_word_says_nothing_of_whether_the_device_is_there() -> None:
    store = ColdStore(cold_store.profile(has_availability=False), cold_store.policy())
    store.says(contact=CLOSED, retained=True)
    [seen] = view.devices(store.rig.state, store.rig.at)
    assert not seen.connected
    assert store.rig.state.devices[DEVICE].period is None


def test_a_kept_value_enters_no_window() -> None:
    profile = room.profile()
    profile["spec"]["properties"][0]["retained"] = "State"
    mean = {"name": "mean", "input": "co2", "window": "1m", "aggregate": "Mean"}
    document = room.changed(
        room.policy(),
        spec__features=[mean],
        spec__rules=[{"name": "high", "expression": "mean > 500.0", "reason": "High"}],
        spec__inference={},
    )
    del document["spec"]["modelRef"]
    rig = Rig((profile, document))
    rig.feed(events.Sample, device=DEVICE, values={"co2": 900.0}, retained=True)
    assert rig.state.devices[DEVICE].readings["co2"].value == 900.0
    assert rig.state.devices[DEVICE].bindings[POLICY].windows == immutables.Map()


def test_a_kept_value_proves_no_command() -> None:
    profile = room.changed(
        room.profile(),
        spec__confirmation={
            "property": "airflow",
            "expression": "difference <= 5.0",
            "timeout": "10s",
        },
    )
    profile["spec"]["properties"][3]["retained"] = "State"
    rig = Rig((profile, cold_policy_without_contact()))
    rig.sample(temperature=25.0, airflow=100.0)
    assert len(rig.sent) == 1
    rig.wait(3)
    rig.feed(events.TelemetryChanged, connected=False)
    rig.wait(1)
    rig.feed(events.Sample, device=DEVICE, values={"airflow": 300.0}, retained=True)
    assert "Confirmed" not in [outcome for outcome, _ in rig.outcomes]


def cold_policy_without_contact() -> room.Json:
    document = cold_store.policy()
    del document["spec"]["inputs"][0]
    permit = {"name": "warm", "expression": "temperature > 20.0", "reason": "Warm"}
    return room.changed(document, spec__rules=[permit])


def test_a_device_that_went_is_not_connected_and_nothing_of_it_is_believed() -> None:
    store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
    store.is_online(True)
    store.says(contact=CLOSED, temperature=25.0)
    store.rig.wait(1)
    decided = len(store.rig.counted)
    store.is_online(False)
    assert len(store.rig.counted) == decided  # it triggers nothing
    assert store.problem("temperature") == store.problem("contact") == "DeviceOffline"
    line = view.devices(store.rig.state, store.rig.at)[0]
    assert (line.connected, line.offline) == (False, True)
    store.rig.wait(1)
    assert warm(store) == ("NotApplicable", "DeviceOffline")
    store.is_online(True)
    assert view.devices(store.rig.state, store.rig.at)[0].connected
    assert store.believed("temperature") == 25.0
    assert store.problem("contact") == "DeviceOffline"  # it may have moved unheard
    store.says(contact=CLOSED)
    assert warm(store) == COMMANDED


def test_a_silence_triggers_also_while_the_device_is_gone() -> None:
    silent = room.changed(cold_store.policy(), spec__trigger={"afterSilence": "30s"})
    store = ColdStore(cold_store.profile(), silent)
    store.says(contact=CLOSED, temperature=25.0)
    store.is_online(False)
    store.rig.wait(40)
    assert store.rig.counted[-1] == ("NotApplicable", "DeviceOffline")


def test_a_copy_of_the_last_will_makes_void_only_what_is_from_before_it() -> None:
    store = ColdStore()
    store.is_online(False)
    store.rig.wait(1)
    store.says(temperature=25.0)
    store.rig.wait(1)
    store.is_online(False, retained=True)
    assert store.believed("temperature") == 25.0
    store.is_online(False)
    assert store.believed("temperature") is None


def test_what_was_read_before_the_device_went_stays_void() -> None:
    store = ColdStore()
    store.rig.wait(5)
    store.is_online(False)
    store.rig.seconds -= 1  # it waited to be decoded
    store.says(contact=CLOSED, temperature=25.0)
    assert store.results[-1] == "Late"
    assert store.believed("temperature") is None


def test_after_a_gap_nobody_knows_whether_the_device_is_there() -> None:
    store = ColdStore()
    store.is_online(False)
    store.loses_telemetry()
    assert store.rig.state.devices[DEVICE].presence is None
    store.is_online(True)  # it came before the connection went
    assert store.rig.state.devices[DEVICE].presence is None
    store.rig.wait(1)
    store.is_online(True, retained=True)
    store.hears_again()
    assert view.devices(store.rig.state, store.rig.at)[0].connected


def test_what_is_said_of_a_device_without_availability_is_nothing() -> None:
    store = ColdStore(cold_store.profile(has_availability=False), cold_store.policy())
    before = store.rig.state
    store.is_online(False)
    assert store.rig.state == before
    store.rig.feed(events.Availability, device=events.Key("hq", "gone"), is_online=False)
    assert store.results == ["Unassigned"]


REDECLARED: dict[str, Callable[[], tuple[room.Json, ...]]] = {
    "a property becomes one that is kept": lambda: (cold_store.profile(),),
    "it stands elsewhere in the message": lambda: (
        cold_store.profile(contact={**cold_store.CONTACT, "path": "/door"}),
    ),
    "the device gets a parameter": lambda: (
        cold_store.profile(),
        room.changed(room.device(), spec__parameters=[{"name": "topic", "value": "x"}]),
    ),
}


@pytest.mark.parametrize("name", REDECLARED)
def test_what_is_declared_anew_is_void_until_it_is_said_again(name: str) -> None:
    ignored = {**cold_store.CONTACT, "retained": "Ignore"}
    first = ignored if "becomes" in name else cold_store.CONTACT
    store = ColdStore(cold_store.profile(contact=first), cold_store.policy())
    store.is_online(True)
    store.says(contact=CLOSED)
    store.rig.assign(*REDECLARED[name](), cold_store.policy())
    assert store.problem("contact") == "ConnectionGap"
    store.rig.wait(1)
    store.is_online(True, retained=True)
    store.says(contact=OPEN, retained=True)
    assert store.believed("contact") is OPEN


def test_an_assignment_that_changes_nothing_of_it_makes_nothing_void() -> None:
    store = ColdStore()
    store.is_online(True)
    store.says(contact=CLOSED)
    store.rig.assign(cold_store.profile(), room.changed(cold_store.policy(), spec__hazard="Medium"))
    assert store.believed("contact") is CLOSED
    assert store.rig.state.devices[DEVICE].presence is not None


def with_model() -> room.Json:
    """The room's policy with its model, which also looks at the door."""
    document = room.policy()
    document["spec"]["inputs"].append(
        {
            "name": "contact",
            "property": "contact",
            "type": "Boolean",
            "maximumAge": "24h",
            "onInvalid": "LastGood",
        }
    )
    return document


def test_what_a_model_is_asked_before_a_gap_commands_nothing_after_it() -> None:
    rig = Rig((cold_store.profile(), with_model()), hold=(effects.Infer,))
    rig.feed(events.Sample, device=DEVICE, values={**OCCUPIED, "contact": CLOSED})
    rig.feed(events.TelemetryChanged, connected=False)
    rig.release()
    assert rig.sent == []
    assert rig.verdicts == [("NotTriggered", "ReadingsVoid")]
    assert rig.state.devices[DEVICE].bindings[POLICY].last_good == {}


def test_a_model_that_was_asked_about_nothing_void_is_heard() -> None:
    rig = Rig(hold=(effects.Infer,))
    rig.sample()
    rig.feed(events.TelemetryChanged, connected=False)
    rig.release()
    assert len(rig.sent) == 1


def test_every_decision_about_gaps_replays() -> None:
    documents = (cold_store.profile(), with_model())
    rig = Rig(documents)
    store = ColdStore(*documents)
    store.rig = rig
    values: dict[str, Any] = {**OCCUPIED}
    store.says(**values, contact=CLOSED, retained=False)
    store.loses_telemetry()
    rig.wait(1)
    store.says(**values)
    store.says(contact=OPEN, retained=True)
    store.says(**values)
    store.is_online(True, retained=True)
    store.says(**values)
    store.is_online(False)
    rig.wait(1)
    store.says(**{**values, "co2": 901.0})
    rig.hold = (effects.Infer,)
    store.says(contact=CLOSED)
    store.says(**{**values, "co2": 902.0})
    store.is_online(False)
    rig.hold = ()
    rig.release()
    problems = {reason for _, reason in rig.verdicts}
    assert problems >= {"ConnectionGap", "InputAgeUnknown", "DeviceOffline", "ReadingsVoid"}
    assigned = assign(*documents)
    for data in rig.decisions:
        result = replay.replay(data, assigned.policies[0], assigned.devices[0])
        assert isinstance(result, replay.Replayed)
        assert result.is_same


STEPS = st.one_of(
    st.tuples(st.just("moves"), st.booleans(), st.booleans()),
    st.tuples(st.just("moves"), st.booleans(), st.booleans()),
    st.tuples(st.just("moves by a clock set back"), st.booleans()),
    st.tuples(st.just("moves and garbles it"), st.booleans()),
    st.just(("loses telemetry",)),
    st.just(("hears again",)),
    st.just(("dies before it is up",)),
    st.just(("goes",)),
    st.just(("comes",)),
    st.just(("subscribes again",)),
    st.just(("measures",)),
    st.tuples(st.just("waits"), st.sampled_from([0.5, 30.0, 700.0, 50000.0])),
    st.just(("old news",)),
)


class Site:
    """A door, the broker between, and an engine: what really is, beside what is believed."""

    def __init__(self, *, is_timed: bool) -> None:
        self.store = ColdStore(cold_store.profile(), cold_store.policy(onInvalid="LastGood"))
        self.is_timed = is_timed
        self.kept: tuple[bool, float] | None = None
        self.newest: bool | None = None
        """The newest word that was said with the broker listening; None since the device went."""
        self.is_up = True
        self.is_there: bool | None = None
        self.moved = self.store.rig.seconds

    def take(self, step: tuple[object, ...]) -> None:
        self.store.rig.seconds += 0.01
        getattr(self, str(step[0]).replace(" ", "_"))(*step[1:])

    def _says(self, value: bool, moment: float, *, retained: bool = False) -> None:
        ago = self.store.rig.seconds - moment if self.is_timed else None
        self.store.says(contact=value, retained=retained, ago=ago)

    def moves(self, value: bool, is_kept: bool) -> None:
        """The door says where it is; with the broker keeping it, or not."""
        self.newest, self.moved = value, self.store.rig.seconds
        if is_kept:
            self.kept = (value, self.store.rig.seconds)
        if self.is_up:
            self._says(value, self.store.rig.seconds)

    def moves_by_a_clock_set_back(self, value: bool) -> None:
        """The door's clock is half a minute slow, for this once."""
        self.newest, self.moved = value, self.store.rig.seconds
        self.kept = (value, self.moved - 30.0)
        if self.is_up:
            self._says(*self.kept)

    def moves_and_garbles_it(self, value: bool) -> None:
        """The door says where it is, and nobody can read it."""
        self.newest, self.moved, self.kept = value, self.store.rig.seconds, None
        if self.is_up:
            self.store.rig.feed(
                events.Sample, device=DEVICE, values={}, refused={"contact": "UnknownValue"}
            )

    def loses_telemetry(self) -> None:
        self.is_up = False
        self.store.loses_telemetry()

    def subscribes_again(self) -> None:
        if self.is_up:
            self._delivers_kept()

    def hears_again(self) -> None:
        if not self.is_up:
            self._delivers_kept()
            self.is_up = True
            self.store.hears_again()

    def dies_before_it_is_up(self) -> None:
        if not self.is_up:
            self._delivers_kept()
            self.store.rig.seconds += 0.01
            self.store.loses_telemetry()

    def _delivers_kept(self) -> None:
        if self.is_there is not None:
            self.store.is_online(self.is_there, retained=True)
        self.store.rig.seconds += 0.01
        if self.kept is not None:
            self._says(*self.kept, retained=True)

    def goes(self) -> None:
        self.is_there = False
        if self.is_up:
            self.store.is_online(False)

    def comes(self) -> None:
        self.is_there = True
        if self.is_up:
            self.store.is_online(True)

    def measures(self) -> None:
        if self.is_up:
            self.store.says(temperature=25.0)

    def waits(self, seconds: float) -> None:
        self.store.rig.seconds += seconds

    def old_news(self) -> None:
        """A word from before the gap had to wait until now."""
        if not self.is_up:
            lost = self.store.rig.state.telemetry_lost
            assert lost is not None
            now, self.store.rig.seconds = self.store.rig.seconds, lost
            self.store.says(contact=CLOSED)
            self.store.rig.seconds = now

    def check(self) -> None:
        believed = self.store.believed("contact")
        if believed is None:
            return
        assert self.is_up, "believed while nobody listens"
        assert self.kept is not None or self.newest is not None
        seen = self.store.input("contact")
        assert seen.age is not None
        assert -0.1 <= seen.age <= 86400.0 + 1e-6, "older than its maximumAge"


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.lists(STEPS, max_size=25))
def test_no_door_is_believed_that_the_broker_has_said_a_newer_word_of(
    is_timed: bool, steps: list[tuple[object, ...]]
) -> None:
    """With every word kept, what is believed is the newest word, whatever happens in between."""
    site = Site(is_timed=is_timed)
    for step in steps:
        step = ("moves", step[1], True) if step[0] == "moves" else step
        site.take(step)
        site.check()
        believed = site.store.believed("contact")
        assert believed is None or believed == site.newest


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.lists(STEPS, max_size=25))
def test_nothing_is_believed_that_is_too_old_or_was_not_heard(
    is_timed: bool, steps: list[tuple[object, ...]]
) -> None:
    site = Site(is_timed=is_timed)
    for step in steps:
        site.take(step)
        site.check()


def forgets_no_reading(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(presence, "voided", lambda device, *_: device)


def forgets_no_last_good_value(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(presence, "_without", lambda binding, _: binding)
    input_of = readings.input_of

    def mutant(source: Any, reading: Any, good: Any, now: float) -> Any:
        seen = input_of(source, reading, good, now)
        return seen if seen.problem is None else readings._substitute(source, seen, good, now)

    patch.setattr(readings, "input_of", mutant)


def takes_what_waited_over_a_gap(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(presence, "is_before_gap", lambda *_: False)


def takes_what_was_kept_for_what_is_live(patch: pytest.MonkeyPatch) -> None:
    take = sampling.take

    def mutant(device: DeviceState, sample: events.Sample, seconds: float) -> object:
        return take(device, sample._replace(retained=False), seconds)

    patch.setattr(sampling, "take", mutant)


def takes_what_is_kept_in_place_of_what_is_live(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sampling, "_is_live", lambda *_: False)


def open_door_then(*steps: tuple[object, ...], is_timed: bool = False) -> None:
    """Run one story by the oracle of the properties."""
    site = Site(is_timed=is_timed)
    for step in steps:
        site.take(step)
        site.check()
        believed = site.store.believed("contact")
        assert believed is None or believed == site.newest


GAP = (("loses telemetry",), ("moves", OPEN, True))


def takes_another_word_for_a_duplicate(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sampling, "_is_another_word", lambda *_: False)


def believes_what_a_late_word_contradicts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sampling, "_contradicts", lambda *_: False)


PAIRS: dict[str, tuple[Callable[[], None], Callable[[pytest.MonkeyPatch], None]]] = {
    "forgets no reading": (
        lambda: open_door_then(("moves", CLOSED, True), *GAP),
        forgets_no_reading,
    ),
    "forgets no last good value": (
        lambda: open_door_then(("comes",), ("moves", CLOSED, True), ("measures",), *GAP),
        forgets_no_last_good_value,
    ),
    "takes what waited over a gap": (
        lambda: open_door_then(*GAP, ("old news",), ("waits", 1.0)),
        takes_what_waited_over_a_gap,
    ),
    "takes what is kept in place of what is live": (
        lambda: open_door_then(
            ("comes",), ("moves", CLOSED, True), ("moves", OPEN, False), ("subscribes again",)
        ),
        takes_what_is_kept_in_place_of_what_is_live,
    ),
    "believes what a late word contradicts": (
        lambda: open_door_then(
            ("moves", CLOSED, True), ("moves by a clock set back", OPEN), is_timed=True
        ),
        believes_what_a_late_word_contradicts,
    ),
    "takes another word for a duplicate": (
        test_another_word_of_the_same_second_is_no_duplicate,
        takes_another_word_for_a_duplicate,
    ),
    "takes what was kept for what is live": (
        lambda: open_door_then(
            ("comes",), ("moves", CLOSED, True), ("moves", OPEN, False), ("subscribes again",)
        ),
        takes_what_was_kept_for_what_is_live,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_oracle_catches_an_engine_that(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holds, mutate = PAIRS[name]
    holds()
    mutate(monkeypatch)
    with pytest.raises(AssertionError):
        holds()


def test_reasons_of_void_readings_are_the_gates() -> None:
    for reason in (reasons.CONNECTION_GAP, reasons.DEVICE_OFFLINE, reasons.INPUT_AGE_UNKNOWN):
        assert reason.gates == (reasons.VALIDITY,)
        assert reason.remedy
