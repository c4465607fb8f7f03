"""The life of a command as a table: pinned, complete, and nothing else than what it says."""

import itertools

import pytest

from builders.engine_rig import DEVICE, Rig
from foreshore_agent.engine import effects
from foreshore_agent.engine import turn as turns
from foreshore_agent.engine.command import ledger, life, table
from foreshore_agent.engine.command.table import IGNORED, LIVE, TABLE, CommandEvent, News
from foreshore_agent.engine.events import Tick
from foreshore_agent.engine.state import CommandState, DeviceState, Intent

ROWS = """
Intent       Durable     -> Sending                    send
Intent       Obstructed  -> Over         NotSent       write_down
Intent       NotRecorded -> Over                       refund
Intent       Unassigned  -> Over         NotSent       write_down
Intent       Restarted   -> Unknown      Unknown       write_down hold
Sending      Sent        -> Answer                     write_down leave await_answer
Sending      SentForEcho -> Echo                       write_down leave await_answer
Sending      SentForNothing -> Mute      Unacknowledged write_down leave hold
Sending      NotSent     -> Over         NotSent       write_down
Sending      Unassigned  -> Over         Unknown       write_down hold
Sending      Restarted   -> Unknown      Unknown       write_down hold
Answer       NotSent     -> Over         NotSent
Answer       Accepted    -> Confirmation Acknowledged  observe await_read_back
Answer       Done        -> Confirmation Acknowledged  observe await_read_back
Answer       Answered    -> Over         Acknowledged  observe
Answer       Rejected    -> Over         Rejected
Answer       Due         -> Unknown      Unknown       hold
Answer       Unassigned  -> Over         Unknown       hold
Answer       Restarted   -> Unknown      Unknown       hold
Echo         NotSent     -> Over         NotSent
Echo         Near        -> Over         Confirmed     observe
Echo         Due         -> Unknown      Unknown       hold
Echo         Newer       -> Over         Superseded
Echo         Unassigned  -> Over         Unknown       hold
Echo         Restarted   -> Unknown      Unknown       hold
Mute         NotSent     -> Over         NotSent       let_go
Mute         Due         -> Over                       let_go
Mute         Unassigned  -> Over
Mute         Restarted   -> Mute                       hold
Confirmation Done        -> Confirmation               settle
Confirmation Near        -> Over         Confirmed
Confirmation Differs     -> Confirmation               compare
Confirmation Due         -> Over         Unconfirmed
Confirmation Newer       -> Over         Superseded
Confirmation Unassigned  -> Over         Unconfirmed
Confirmation Restarted   -> Unknown      Unknown       hold
Unknown      Near        -> Over         Confirmed     let_go
Unknown      Differs     -> Unknown                    compare
Unknown      Due         -> Over         Unconfirmed   let_go
Unknown      Unassigned  -> Over         Unconfirmed
Unknown      Restarted   -> Unknown                    hold
"""


def test_the_table_is_as_it_is_written_here() -> None:
    rows = []
    for (state, event), row in TABLE.items():
        outcome = () if row.outcome is None else (row.outcome.value,)
        acts = (act.__name__ for act in row.acts)
        rows.append([state.value, event.value, "->", row.next.value, *outcome, *acts])
    assert rows == [line.split() for line in ROWS.strip().splitlines()]


def test_every_pair_has_a_row_or_a_reason_to_be_ignored() -> None:
    assert (*LIVE, CommandState.OVER) == tuple(CommandState)
    assert not TABLE.keys() & IGNORED.keys()
    assert TABLE.keys() | IGNORED.keys() == set(itertools.product(LIVE, CommandEvent))
    assert all(IGNORED.values())


def test_one_row_alone_sends_and_none_leads_back_to_it() -> None:
    assert [pair for pair, row in TABLE.items() if table.send in row.acts] == [
        (CommandState.INTENT, CommandEvent.DURABLE)
    ]
    assert all(row.next is not CommandState.INTENT for row in TABLE.values())


def test_no_command_is_over_without_a_word() -> None:
    silent = [
        pair for pair, row in TABLE.items() if row.next is CommandState.OVER and not row.outcome
    ]
    assert silent == [
        (CommandState.INTENT, CommandEvent.NOT_RECORDED),  # its decision says so
        (CommandState.MUTE, CommandEvent.DUE),  # that nothing tells was said when it left
        (CommandState.MUTE, CommandEvent.UNASSIGNED),
    ]


def test_whoever_comes_to_unknown_holds_and_whoever_learns_the_end_lets_go() -> None:
    for (state, _event), row in TABLE.items():
        if row.next in ledger.HOLDING and state is not row.next:
            assert table.hold in row.acts
    released = {pair for pair, row in TABLE.items() if table.let_go in row.acts}
    assert released == {
        (CommandState.MUTE, CommandEvent.NOT_SENT),
        (CommandState.MUTE, CommandEvent.DUE),
        (CommandState.UNKNOWN, CommandEvent.NEAR),
        (CommandState.UNKNOWN, CommandEvent.DUE),
    }


def test_every_row_out_of_intent_and_sending_records_the_decision() -> None:
    """But for the one that sends: the record comes after the command has left."""
    early = (CommandState.INTENT, CommandState.SENDING)
    for (state, event), row in TABLE.items():
        is_on_its_way = event in (CommandEvent.DURABLE, CommandEvent.NOT_RECORDED)
        assert (table.write_down in row.acts) is (state in early and not is_on_its_way)


@pytest.mark.parametrize("state", LIVE)
def test_time_ends_what_nothing_else_does(state: CommandState) -> None:
    """From every state a row of time, of the journal or of the connection leads towards Over."""
    by_itself = {
        CommandEvent.DURABLE,
        CommandEvent.OBSTRUCTED,
        CommandEvent.NOT_RECORDED,
        CommandEvent.SENT,
        CommandEvent.NOT_SENT,
        CommandEvent.DUE,
    }
    reached = {state}
    for _ in LIVE:
        reached |= {
            row.next for (at, event), row in TABLE.items() if at in reached and event in by_itself
        }
    assert CommandState.OVER in reached


def commanded() -> tuple[turns.Turn, DeviceState, Intent]:
    rig = Rig(hold=(effects.AppendRecords,))
    rig.sample()
    device = rig.state.devices[DEVICE]
    [intent] = device.open.values()
    return turns.begin(rig.state, Tick(rig.at, "fresh")), device, intent


@pytest.mark.parametrize(("state", "event"), sorted(IGNORED), ids=lambda name: str(name.value))
def test_what_is_ignored_changes_nothing(state: CommandState, event: CommandEvent) -> None:
    turn, device, intent = commanded()
    device = ledger.opened(device, intent._replace(state=state))
    change = life.advance(turn, device, ((intent.command_id, News(event, "Because")),))
    assert change == (device, ())


@pytest.mark.parametrize(("state", "event"), sorted(TABLE), ids=lambda name: str(name.value))
def test_what_a_row_records_becomes_durable_with_the_device(
    state: CommandState, event: CommandEvent
) -> None:
    turn, device, intent = commanded()
    device = ledger.opened(device, intent._replace(state=state))
    row = TABLE[state, event]
    changed, done = life.advance(turn, device, ((intent.command_id, News(event, "Because")),))
    left = changed.open.get(intent.command_id)
    assert (CommandState.OVER if left is None else left.state) is row.next
    journals = [effect for effect in done if isinstance(effect, effects.AppendRecords)]
    words = [line.verdict for journal in journals for line in journal.records]
    decided = ["Error"] if event is CommandEvent.NOT_RECORDED else []
    if table.write_down in row.acts:
        decided = ["Commanded"]
    assert words == [*decided, *([row.outcome.value] if row.outcome else [])]
    assert all(journal.values and journal.intent is None for journal in journals)


def test_news_of_a_command_that_is_over_or_nobodys_is_no_news() -> None:
    turn, device, intent = commanded()
    ended = News(CommandEvent.NOT_RECORDED)
    first = life.advance(turn, device, ((intent.command_id, ended), (intent.command_id, ended)))
    assert first == life.advance(turn, device, ((intent.command_id, ended),))
    assert life.advance(turn, device, (("nobody/1", ended),)) == (device, ())
