"""What is in force: the newest that is good, else the last that was. One rule for everybody.

    options, newest first     good ────► in force, whatever comes after it
                                 waiting ─► held back while an older one is good, else in force
                                 bad ─────► held back

An *option* is a thing as it is asked for now, or as it was in force before. It is good, or there
is an *obstacle*: it is `waiting` where it could be worked by but should not be yet (no replica of
its model serves), `bad` where it cannot be worked by at all (it does not compile, cannot be read,
refers to what does not exist). In force is the first good option; without one the first that
waits, for waiting helps nobody when there is nothing to go on with; without that nothing. Whatever
is newer than what is in force is *held back*, with its obstacle as the reason.

Three things belong to whoever lists the options:

- **Deleting is withdrawing.** What is not asked for any more has no options, and nothing of it
  stays in force. What is asked for and *refers* to something that was deleted dangles: it is asked
  for still, so what worked stays. A deleted DecisionPolicy or Device ends; a deleted Model,
  ModelVersion, DeviceProfile or Secret ends nothing that worked.
- **Narrowing does not wait.** An older option is listed in the form that the newer one leaves of
  it (`narrowing`): its mode, limits and rates bind at once. Nothing is ever listed wider.
- **A namesake is another thing.** What was in force under the same name and another uid is no
  option.

Where the place that chooses is durable, so is what it chose. The places:

    a file of a folder         the object as it was last right           agent resources
    a reference of an object   what it resolved to when last assigned    decision assignment
    a policy on a device       the version that was in force there       agent engine
    a model's servers          those of the version before that answer   agent hosting, the planner
    an assignment              the one before                            agent runtime, the hub

What a person reads of it is `message`, in the same words everywhere; where a text begins with a
place (a file and a field), `staying` adds the same end to it.
"""

from collections.abc import Iterable
from typing import Final, Generic, NamedTuple, TypeVar

from foreshore_api import conditions

MAXIMUM_MESSAGE: Final = 1024
"""Characters of a message, as problems and conditions bound it."""

T = TypeVar("T")


class Obstacle(NamedTuple):
    """Why an option is not simply in force."""

    reason: str
    """A code of `conditions.Reason`."""
    cause: str
    """What is missing or wrong; after "waits for", or as a sentence of its own."""
    remedy: str = ""
    """What a person can do about it."""
    is_waiting: bool = False
    """Whether it ends without anybody's edit."""


class Option(NamedTuple, Generic[T]):
    """Something that may be in force."""

    value: T | None
    """None where it cannot be worked by."""
    obstacle: Obstacle | None = None


class InForce(NamedTuple, Generic[T]):
    """What is in force, and why nothing newer is."""

    value: T | None
    position: int
    """Of what is in force among the options: 0 is the newest; also 0 where nothing is."""
    held_back: Obstacle | None
    """The newest option's obstacle, where it is not in force."""


def good(value: T) -> Option[T]:
    """Return an option that can be in force."""
    return Option(value)


def waiting(value: T, obstacle: Obstacle) -> Option[T]:
    """Return an option that is in force only where there is nothing to go on with."""
    return Option(value, obstacle)


def choose(options: Iterable[Option[T]]) -> InForce[T]:
    """Return what is in force of options, newest first; none after the first good is drawn."""
    held_back: Obstacle | None = None
    otherwise: InForce[T] | None = None
    for position, (value, obstacle) in enumerate(options):
        if position == 0:
            held_back = obstacle
        if value is None:
            continue
        chosen = InForce(value, position, held_back if position else None)
        if obstacle is None:
            return chosen
        otherwise = otherwise or chosen
    return otherwise or InForce(None, 0, held_back)


def message(
    held: Obstacle, newest: str = "", kept: str = "what was in force", how: str = ""
) -> str:
    """Say what is held back and why, what stays in force meanwhile, and what helps.

    Args:
        held: the obstacle.
        newest: what is held back, where it is not clear already: `generation 4`.
        kept: what stays in force; empty where nothing is.
        how: in which form it stays, put behind that: ` with model-v1`.
    """
    verb = "waits for" if held.is_waiting else "is held back:"
    head = f"{newest} {verb}" if newest else verb.removeprefix("is ")
    return staying(f"{head} {held.cause}", kept, how, held.remedy)


def staying(cause: str, kept: str, how: str = "", remedy: str = "") -> str:
    """Return a cause with what stays in force and what helps; a cause too long is cut."""
    stays = f"{kept} stays in force{how}" if kept else "nothing is in force"
    tail = f"; {stays}" + (f"; {remedy}" if remedy else "")
    room = max(1, MAXIMUM_MESSAGE - len(tail))
    cause = cause if len(cause) <= room else f"{cause[: room - 1]}…"
    return f"{cause}{tail}"[:MAXIMUM_MESSAGE]


def dangling(kind: str, name: str, namespace: str) -> Obstacle:
    """Return the obstacle of whatever refers to an object that is not there."""
    return Obstacle(
        conditions.Reason.REFERENCE_NOT_FOUND.value,
        f"{kind} {name} does not exist in namespace {namespace}",
        "create it, or refer to another",
    )


def unaccepted(kind: str, name: str) -> Obstacle:
    """Return the obstacle of whatever refers to an object that is not accepted as it stands."""
    return Obstacle(
        conditions.Reason.REFERENCE_NOT_FOUND.value,
        f"{kind} {name} is not accepted",
        "see its conditions",
    )
