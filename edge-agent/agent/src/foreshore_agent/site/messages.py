"""Which topic carries what among the agents of a site, and how it is read: pure.

`exchange` asks for every message of the control connection that is no device's.
"""

from typing import NamedTuple

from foreshore_agent import documents
from foreshore_api.reasons import telemetry as reasons
from foreshore_api.wire import beat

Document = beat.Beat | beat.RenewalRequest | beat.Renewal


class SiteTopics(NamedTuple):
    """The topics of one site as one of its nodes uses them."""

    site: str
    node: str

    @property
    def beats(self) -> str:
        """The filter of everybody's beats."""
        return beat.beat_topic(self.site)

    @property
    def own_beats(self) -> str:
        """Where this node's beats go, and come back from."""
        return beat.beat_topic(self.site, self.node)

    @property
    def own_requests(self) -> str:
        """Where this node asks for renewal."""
        return beat.renew_topic(self.site, self.node)

    @property
    def filters(self) -> tuple[str, ...]:
        """Everything this node listens on."""
        return (
            self.beats,
            beat.renew_topic(self.site),
            beat.renewed_topic(self.site, self.node),
        )

    def renewals(self, holder: str) -> str:
        """Return where a holder hears the answer to its request."""
        return beat.renewed_topic(self.site, holder)


def read(topics: SiteTopics, topic: str, body: bytes, *, retained: bool) -> Document | str:
    """Return what an agent says, or why it is not heard.

    What a node says must stand on its own topic.

    Returns:
        The document, or `UnknownTopic`, `Retained`, `Echo`, `TooLarge`, `InvalidDocument`,
        `WrongSpeaker`.
    """
    kind, node = _speaker(topics.site, topic)
    if kind is None:
        return reasons.UNKNOWN_TOPIC
    if retained:
        return reasons.RETAINED
    if (node == topics.node) != (kind is beat.Renewal):
        return reasons.ECHO
    document = documents.read(body, kind)
    if not isinstance(document, str) and document.node != node:
        return reasons.WRONG_SPEAKER
    return document


def _speaker(site: str, topic: str) -> tuple[type[Document] | None, str]:
    """Return what a topic carries, and the node in its last level: who speaks or is answered."""
    node = topic.rsplit("/", 1)[-1]
    if topic == beat.beat_topic(site, node):
        return beat.Beat, node
    if topic == beat.renew_topic(site, node):
        return beat.RenewalRequest, node
    if topic == beat.renewed_topic(site, node):
        return beat.Renewal, node
    return None, node
