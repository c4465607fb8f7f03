"""Telemetry that has arrived and is not decoded yet: what the engine has no time for costs little.

    put ──► topic's queue ──take──► decoded by `devices`
              ├─ all alike: the newer message takes the older one's place, unread, counted
              └─ too many in all: the oldest of a topic on which others wait gives way

A message is passed over unread only where it can be known that the newer one says all it says: the
caller allows it for the topic (one device's, without windows, which want every value, and without
states, picks and batches, which say what has changed), and the newest messages all had the same
properties. One message with others, or with several samples, or with none, and the topic is read in
full until the next assignment: what a device says seldom is what must not be lost.

The newest message that was passed over is kept for when the one in its place is unusable: a message
of garbage costs its device no decision. On a topic of one property alone garbage is that property's
word, "invalid", and takes the place of the one before like any other.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from foreshore_agent.devices.mqtt.channel import MqttMessage

MAXIMUM_MESSAGES: Final = 1024
"""Messages that may wait beside the newest of each topic."""
MAXIMUM_BYTES: Final = 4 << 20
"""Bytes of payloads that may wait."""
ALIKE: Final = 8
"""Messages with the same properties after which a topic's next ones are believed to be alike."""
_MIXED: Final = -1


class UnreadMessage(NamedTuple):
    """What leaves the queue of a topic."""

    message: MqttMessage
    passed: int = 0
    """Messages that were passed over unread since the one before."""
    spare: MqttMessage | None = None
    """The newest of these."""


class _TopicQueue:
    """The messages of one topic that wait, oldest first, and what is known of its content."""

    __slots__ = ("_alike", "_names", "may_pass", "passed", "spare", "waiting")

    def __init__(self, *, may_pass: bool) -> None:
        self.may_pass = may_pass
        self.waiting: Final = deque[MqttMessage]()
        self.passed = 0
        self.spare: MqttMessage | None = None
        self._names: frozenset[str] = frozenset()
        self._alike = 0

    @property
    def is_alike(self) -> bool:
        """Whether a newer message says all that an older one says."""
        return self.may_pass and self._alike >= ALIKE

    def learn(self, names: Iterable[str]) -> None:
        """Note the properties of a message that was decoded."""
        if self._alike == _MIXED:
            return
        properties = frozenset(names)
        if self._alike and properties != self._names:
            self._alike = _MIXED
        else:
            self._names, self._alike = properties, self._alike + 1

    def read_in_full(self) -> None:
        """Note that messages on the topic say different things."""
        self._alike = _MIXED

    def replace_newest(self, message: MqttMessage) -> int:
        """Let a message take the place of the newest; return the bytes that are waited with more.

        Raises IndexError where nothing waits.
        """
        before, self.spare, self.waiting[-1] = self.spare, self.waiting[-1], message
        self.passed += 1
        return len(message.payload) - (0 if before is None else len(before.payload))

    def forget_spare(self) -> int:
        """Forget the newest message that was passed over; return its bytes."""
        spare, self.spare = self.spare, None
        return 0 if spare is None else len(spare.payload)


class Unread:
    """What waits of the telemetry connection, by topic."""

    def __init__(self) -> None:
        self._topics: Mapping[str, _TopicQueue] = {}
        self._ready: Final = OrderedDict[str, _TopicQueue]()
        """Topics with something waiting; whose turn it is comes first."""
        self._crowded: Final = OrderedDict[str, _TopicQueue]()
        """Those on which more than one waits: what is too much is theirs, so that a device that
        speaks too much costs no other its newest message."""
        self._messages = 0
        self._bytes = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._ready

    def assign(self, may_pass: Mapping[str, bool]) -> tuple[UnreadMessage, ...]:
        """Take other topics, each with whether its messages may be passed over unread.

        What waits on a topic that stays goes on waiting; what is known of its content does not.
        Return what had to give way. What waits on a topic that nobody uses any more is nobody's.
        """
        self._topics = {topic: _TopicQueue(may_pass=may) for topic, may in may_pass.items()}
        waiting = list(self._ready.values())
        self._ready.clear()
        self._crowded.clear()
        self._messages = self._bytes = 0
        dropped: list[UnreadMessage] = []
        for before in waiting:
            if before.spare is not None:  # it came before the newest, and after all others
                before.waiting.insert(len(before.waiting) - 1, before.spare)
                before.passed -= 1
            after = self._topics.get(before.waiting[0].topic)
            if after is not None:
                after.passed = before.passed
            for message in before.waiting:
                dropped += self.put(message)
        return tuple(dropped)

    def put(self, message: MqttMessage) -> tuple[UnreadMessage, ...]:
        """Keep a message until it is taken; return what had to give way to it.

        A message on a topic that nobody uses any more is nobody's.
        """
        queue = self._topics.get(message.topic)
        if queue is None:
            return ()
        if queue.waiting and queue.is_alike:
            self._bytes += queue.replace_newest(message)
        else:
            queue.waiting.append(message)
            self._messages += 1
            self._bytes += len(message.payload)
            self._ready[message.topic] = queue
            if len(queue.waiting) > 1:
                self._crowded[message.topic] = queue
        if not self._is_over:
            return ()
        self._bytes -= queue.forget_spare()
        dropped = []
        while self._is_over:
            topic = next(iter(self._crowded or self._ready))
            self._ready.move_to_end(topic, last=False)
            dropped.append(self._pop())
        return tuple(dropped)

    def take(self) -> UnreadMessage | None:
        """Take the oldest message of the topic whose turn it is; None if none waits."""
        return self._pop() if self._ready else None

    def _pop(self) -> UnreadMessage:
        topic, queue = self._ready.popitem(last=False)
        message = queue.waiting.popleft()
        self._messages -= 1
        self._bytes -= len(message.payload)
        if len(queue.waiting) <= 1:
            self._crowded.pop(topic, None)
        if queue.waiting:
            self._ready[topic] = queue
            return UnreadMessage(message)
        taken = UnreadMessage(message, queue.passed, queue.spare)
        queue.passed = 0
        self._bytes -= queue.forget_spare()
        return taken

    def learn(self, topic: str, names: Iterable[str]) -> None:
        """Note the properties of a message of a topic that was decoded."""
        queue = self._topics.get(topic)
        if queue is not None:
            queue.learn(names)

    def read_in_full(self, topic: str) -> None:
        """Pass over no message of a topic until the next assignment."""
        queue = self._topics.get(topic)
        if queue is not None:
            queue.read_in_full()

    @property
    def _is_over(self) -> bool:
        most = MAXIMUM_MESSAGES + len(self._topics)
        return self._messages > most or self._bytes > MAXIMUM_BYTES
