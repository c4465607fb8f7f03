"""Names of every Prometheus metric, once.

Base units, `_total` for counters, no identities of single devices in labels.
"""

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """One metric as documented for users."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


DECISIONS: Final = Metric(
    "foreshore_decisions_total",
    "counter",
    ("policy", "verdict", "reason"),
    "Decisions by verdict, never sampled.",
)
STAGE_SECONDS: Final = Metric(
    "foreshore_decision_stage_seconds",
    "histogram",
    ("site", "node", "policy", "version", "stage", "class"),
    "Latency of a decision by stage; of Network and Inference by the class of the replica's node.",
)
PROBE_SECONDS: Final = Metric(
    "foreshore_probe_seconds",
    "histogram",
    ("site", "node", "peer_site", "class"),
    "Echo time to the agents of a site (empty: of none) on nodes of a class.",
)
SERIES_LEFT_OUT: Final = Metric(
    "foreshore_series_left_out",
    "gauge",
    (),
    "Histograms that are not exposed because there are too many; the hub's report has them.",
)
TELEMETRY: Final = Metric(
    "foreshore_telemetry_messages_total",
    "counter",
    ("result",),
    "Telemetry messages by what became of them.",
)
COMMANDS: Final = Metric(
    "foreshore_commands_total", "counter", ("policy", "outcome"), "Commands by outcome."
)
JOURNAL_RECORDS: Final = Metric(
    "foreshore_journal_records",
    "gauge",
    ("state",),
    "Records in the journal: kept, unacknowledged.",
)
JOURNAL_DROPPED: Final = Metric(
    "foreshore_journal_dropped_total",
    "counter",
    (),
    "Routine records not kept, since the journal was begun.",
)
BROKER_CONNECTED: Final = Metric(
    "foreshore_broker_connected", "gauge", (), "1 while the site's broker is connected."
)
BROKER_DENIED: Final = Metric(
    "foreshore_broker_denied",
    "gauge",
    (),
    "Topics on which the site's broker does not let this agent publish or listen.",
)
HUB_CONNECTED: Final = Metric("foreshore_hub_connected", "gauge", (), "1 while the hub answers.")
AUTHORITY_HELD: Final = Metric(
    "foreshore_devices_held", "gauge", (), "Devices this agent may command."
)

INFER_SECONDS: Final = Metric(
    "foreshore_serving_infer_seconds", "histogram", (), "Time in the model, without queueing."
)
SERVING_REQUESTS: Final = Metric(
    "foreshore_serving_requests_total", "counter", ("code",), "Inference requests by status code."
)

SERVING_PROVIDER: Final = Metric(
    "foreshore_serving_provider_info",
    "gauge",
    ("provider",),
    "1 for the execution provider that computes the model.",
)

HUB_AGENTS: Final = Metric(
    "foreshore_hub_agents", "gauge", ("state",), "Agents by state: Reporting, Silent."
)
HUB_RECORDS: Final = Metric("foreshore_hub_records_total", "counter", (), "Records committed.")
HUB_REFUSED: Final = Metric(
    "foreshore_hub_refused_total", "counter", ("reason",), "Requests refused, by reason."
)

OPERATOR_PASSES: Final = Metric(
    "foreshore_operator_passes_total", "counter", ("result",), "Planning passes."
)
OPERATOR_DEFECTS: Final = Metric(
    "foreshore_operator_defects_total",
    "counter",
    ("kind",),
    "Objects that a defect of ours kept from being read, planned or written, once a pass.",
)
OPERATOR_CUT_SHORT: Final = Metric(
    "foreshore_operator_searches_cut_short_total",
    "counter",
    (),
    "Plans of a placement with a slot that has no node because a bound ended the search for room.",
)
OPERATOR_FORGOTTEN: Final = Metric(
    "foreshore_operator_nodes_forgotten_total",
    "counter",
    (),
    "Nodes that are gone whose silences were forgotten early, because too many went in an hour.",
)
OPERATOR_HISTORY: Final = Metric(
    "foreshore_operator_history_answers_total",
    "counter",
    ("source", "result"),
    "Questions for what models and networks took before, to the hub's evidence and to Prometheus.",
)
OPERATOR_DIFFERENCES: Final = Metric(
    "foreshore_operator_plan_differences_total",
    "counter",
    ("what",),
    "What the planner that keeps its world decided other than planning everything anew.",
)
OPERATOR_PASS_SECONDS: Final = Metric(
    "foreshore_operator_pass_seconds", "histogram", (), "Length of a planning pass."
)
OPERATOR_WRITES: Final = Metric(
    "foreshore_operator_writes_total",
    "counter",
    ("lane", "kind", "result"),
    "Writes to the API server, by lane: Urgent, or Status for what is written in the background.",
)
OPERATOR_STATUS_QUEUE: Final = Metric(
    "foreshore_operator_status_queue", "gauge", (), "Objects whose status waits to be written."
)
OPERATOR_STATUS_AGE: Final = Metric(
    "foreshore_operator_status_queue_oldest_seconds",
    "gauge",
    (),
    "How long the first of the statuses that wait has waited.",
)
OPERATOR_STATUS_RETRIES: Final = Metric(
    "foreshore_operator_status_retries_total",
    "counter",
    (),
    "Statuses that did not get through and are tried again.",
)
OPERATOR_LOOP_STALL: Final = Metric(
    "foreshore_operator_loop_stall_seconds",
    "histogram",
    (),
    "How late the event loop came to its own timer, measured all the time.",
)
OPERATOR_LOOP_WORK: Final = Metric(
    "foreshore_operator_loop_work_seconds",
    "histogram",
    (),
    "How much of that is processor time of the process itself; the rest the machine gave to others,"
    " or something was waited for.",
)
OPERATOR_HEALED: Final = Metric(
    "foreshore_operator_intake_healed_total",
    "counter",
    ("kind", "what"),
    "Objects that a watch had lost and a list mended.",
)
OPERATOR_KOPF_STARTS: Final = Metric(
    "foreshore_operator_kopf_restarts_total",
    "counter",
    ("cause",),
    "Starts of Kopf after the first, by what had ended it.",
)
OPERATOR_LEADER: Final = Metric(
    "foreshore_operator_leader", "gauge", (), "1 while this replica leads."
)
OPERATOR_MOVES: Final = Metric(
    "foreshore_operator_moves_total",
    "counter",
    ("what", "cause"),
    "Replicas and authorities moved.",
)
