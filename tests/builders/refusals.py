"""What an object must not say of itself: one document a rule, wrong in that one respect.

`rule` is the message that the schema gives the rule; a test proves that every rule has its
document, and `tests/cluster` shows each to a real API server.
"""

from typing import Any, NamedTuple

from builders import room
from builders.room import Json, changed
from foreshore_api import addresses


class Refusal(NamedTuple):
    """A document, the rule it breaks, and what its author reads."""

    title: str
    document: Json
    rule: str
    field: str
    says: str = ""

    def __str__(self) -> str:
        return self.title


class Change(NamedTuple):
    """Two versions of an object, of which the second is refused."""

    title: str
    before: Json
    after: Json
    rule: str
    field: str

    def __str__(self) -> str:
        return self.title


def cluster(name: str = "local", **connection: Any) -> Json:
    """A member cluster."""
    document = room.resource(
        "Cluster", "", name, {"connection": {"type": "InCluster"} | connection}
    )
    del document["metadata"]["namespace"]
    return document


def placement(name: str = "p.hq") -> Json:
    """The placement of policy p at site hq."""
    spec = {"policyRef": {"name": "p"}, "site": "hq"}
    return room.resource("InferencePlacement", "hq", name, spec)


def held(holder: str | None, epoch: int, last_issued: int | None = None) -> Json:
    """A device whose right is granted."""
    authority: Json = {"epoch": epoch, "lastIssued": last_issued or epoch}
    if holder is not None:
        authority["holder"] = holder
    return {**room.device(), "status": {"observedGeneration": 1, "authority": authority}}


def _policy(**paths: Any) -> Json:
    return changed(room.policy(), **{f"spec__{path}": value for path, value in paths.items()})


def _profile(**paths: Any) -> Json:
    return changed(room.profile(), **{f"spec__{path}": value for path, value in paths.items()})


def _site(**broker: Any) -> Json:
    return changed(
        room.site(), **{f"spec__broker__{path}": value for path, value in broker.items()}
    )


def _source(**source: Any) -> Json:
    return changed(room.version(), spec__source=source)


CO2: Json = {"name": "co2", "property": "co2", "maximumAge": "90s"}
SLOPE: Json = {"name": "slope", "input": "co2", "window": "10m", "aggregate": "Slope"}
VALUE: Json = {"name": "value", "expression": "300.0"}
ALWAYS: Json = {"name": "always", "expression": "true", "reason": "Always"}
OUTCOME: Json = {"name": "late", "source": "Human", "holdout": "0.1"}
APPROVAL: Json = {"quorum": 2}
SIGNAL: Json = {"of": "score", "raiseAt": "0.6", "clearAt": "0.8"}
INPUT: Json = {"name": "value", "property": "airflow"}
MESSAGE: Json = {"expression": "value"}
ECHO: Json = {"type": "Echo", "echo": {"property": "airflow", "within": "3s"}}
REPLY: Json = {"topic": "{device}/result", "path": "/airflow", "match": "true", "within": "3s"}

WINDOW: Json = {
    "name": "window",
    "dataType": "FP32",
    "shape": [-1, 30, 3],
    "features": ["light", "co2", "temperature"],
    "window": {"steps": 30, "every": "1s"},
}
STATES: Json = {"values": ["idle", "running"]}


def _model(window: Json | None = None, **preprocessing: Any) -> Json:
    """The model over a window, or what is done to a feature of it."""
    prepared = [{"name": "co2", **preprocessing}] if preprocessing else None
    inputs = [{**WINDOW, **(window or {})}]
    return changed(room.model(), spec__inputs=inputs, spec__preprocessing=prepared)


MODELS = (
    Refusal(
        "a window of other steps than the shape",
        _model({"shape": [-1, 20, 3]}),
        "a window fills the middle of a shape [batch, steps, features]: its steps are the middle"
        " dimension, or that is -1",
        "spec.inputs[0].window",
    ),
    Refusal(
        "a window of more values than one may hold",
        _model(
            {
                "shape": [-1, -1, 9],
                "features": [f"f{index}" for index in range(9)],
                "window": {"steps": 1024, "every": "1s"},
            }
        ),
        "a window holds at most 8192 values, steps times features",
        "spec.inputs[0].window",
    ),
    Refusal(
        "a deviation of nothing",
        _model(scale={"mean": "400", "deviation": "0"}),
        "a deviation is above zero",
        "spec.preprocessing[0].scale.deviation",
    ),
    Refusal(
        "an index of what is no category",
        _model(categories={**STATES, "encoding": "Index", "unknown": "Zeros"}),
        "an index has no zeros for what is no category: refuse it, or encode OneHot",
        "spec.preprocessing[0].categories.unknown",
    ),
    Refusal(
        "a scale of categories",
        _model(categories=STATES, scale={"mean": "400", "deviation": "2"}),
        "exactly one of scale and categories is needed",
        "spec.preprocessing[0]",
    ),
)

SITES = (
    Refusal(
        "TLS without a CA to check the broker by",
        _site(credential=None),
        "transport TLS needs a credential with the broker's CA",
        "spec.broker.credential",
    ),
    Refusal(
        "a server name that nobody would check",
        _site(transport="Plain", serverName="broker.hq"),
        "serverName is checked with transport TLS only",
        "spec.broker.serverName",
    ),
    Refusal(
        "an IPv6 address in brackets, as beside a port",
        _site(host="[fd42::9]"),
        addresses.WRONG_HOST,
        "spec.broker.host",
    ),
    Refusal(
        "a broker's host with its port",
        _site(host="10.0.0.9:1883"),
        addresses.WRONG_HOST,
        "spec.broker.host",
    ),
    Refusal(
        "a server name that is no address, although it has colons",
        _site(serverName="fd42:9"),
        addresses.WRONG_HOST,
        "spec.broker.serverName",
    ),
)


def _an_agents_topic(field: str) -> Refusal:
    mine = {"telemetryTopic": "t", "commandTopic": "c", field: "foreshore/v1/hq/renewed/edge-1"}
    return Refusal(
        f"a device whose {field} is one on which agents speak",
        _profile(mqtt=mine, actions=None, safeState=None),
        "topics below foreshore/ are those on which agents speak to each other",
        f"spec.mqtt.{field}",
    )


def _property(**fields: Any) -> Json:
    return _profile(properties=[{"name": "airflow", **fields}])


def _action(**fields: Any) -> Json:
    action = {"name": "setAirflow", "idempotency": "Idempotent", "input": [INPUT], **fields}
    return _profile(actions=[action])


READING = (
    Refusal(
        "two places of one value",
        _property(path="/v", pick={"key": "id", "equals": "a", "value": "v"}),
        "path and pick both say where the value is",
        "spec.properties[0].pick",
    ),
    Refusal(
        "two places of one time",
        _property(timestampPath="/t", time={"path": "t"}),
        "time and timestampPath both say where the device's time is",
        "spec.properties[0].timestampPath",
    ),
    Refusal(
        "a text that is nearly another",
        _property(type="String", tolerance=1),
        "only a number has a tolerance",
        "spec.properties[0].tolerance",
    ),
    Refusal(
        "a tolerance below zero",
        _property(tolerance=-1),
        "must be 0 or above",
        "spec.properties[0].tolerance",
        "-1 is not 0 or above",
    ),
    Refusal(
        "twice true",
        _property(type="Boolean", scale=2),
        "only a number has scale and offset",
        "spec.properties[0].scale",
    ),
    Refusal(
        "a property that comes on no topic",
        _profile(mqtt={"commandTopic": "c"}),
        "a property that names no topic needs mqtt.telemetryTopic",
        "spec.mqtt.telemetryTopic",
    ),
    Refusal(
        "one word for there and gone",
        _profile(mqtt__availability={"topic": "a", "online": "up", "offline": "up"}),
        "online and offline are the same word",
        "spec.mqtt.availability.offline",
    ),
)

COMMANDING = (
    Refusal(
        "a message whose effect nobody asks after",
        _action(mqtt=MESSAGE),
        "an action in the device's own dialect needs an acknowledgement: Echo, Reply or None",
        "spec.actions[0].acknowledgement",
    ),
    Refusal(
        "an answer that names an id which was never sent",
        _action(mqtt=MESSAGE, acknowledgement={"type": "Envelope"}),
        "a message in the device's own dialect carries no command id that an answer could name:"
        " use Echo, Reply or None",
        "spec.actions[0].acknowledgement.type",
    ),
    Refusal(
        "an echo of what was not said",
        _action(acknowledgement={**ECHO, "echo": {"property": "co2", "within": "3s"}}),
        "acknowledgement.echo reads a property that no input of the action sets",
        "spec.actions[0].acknowledgement.echo.property",
        "acknowledgement.echo reads co2, which no input of the action sets",
    ),
    Refusal(
        "an echo that nobody describes",
        _action(acknowledgement={"type": "Echo"}),
        "type Echo and echo belong together",
        "spec.actions[0].acknowledgement.echo",
    ),
    Refusal(
        "a reply that nobody describes",
        _action(acknowledgement={"type": "Reply"}),
        "type Reply and reply belong together",
        "spec.actions[0].acknowledgement.reply",
    ),
    Refusal(
        "a reply somewhere in a document",
        _action(acknowledgement={"type": "Reply", "reply": {**REPLY, "path": None}}),
        "a JSON reply needs the path of the answer",
        "spec.actions[0].acknowledgement.reply.path",
    ),
    Refusal(
        "an echo that is read back once more",
        changed(
            _action(acknowledgement=ECHO),
            spec__confirmation={"property": "airflow", "expression": "true", "timeout": "5s"},
        ),
        "an echo confirms already: leave confirmation out",
        "spec.confirmation",
    ),
    Refusal(
        "a fence that is half there",
        _profile(guards={"fence": "Device", "epoch": "Checked"}),
        "fence Device needs a device that checks both: epoch and duplicates Checked",
        "spec.guards.fence",
    ),
)

DEVICES = (
    Refusal(
        "a device that gives its profile's fence away",
        changed(room.device(), spec__guards={"fence": "None"}),
        "a device may narrow the fence to Adapter only, never to less than its profile",
        "spec.guards.fence",
    ),
)

PROFILES = (
    Refusal(
        "an acknowledgement topic without commands to acknowledge",
        _profile(
            mqtt={"telemetryTopic": "t", "acknowledgementTopic": "a"}, actions=None, safeState=None
        ),
        "acknowledgementTopic needs commandTopic",
        "spec.mqtt.commandTopic",
    ),
    _an_agents_topic("telemetryTopic"),
    _an_agents_topic("commandTopic"),
    _an_agents_topic("acknowledgementTopic"),
    _an_agents_topic("adviceTopic"),
    Refusal(
        "actions without a topic to command them on",
        _profile(mqtt={"telemetryTopic": "t"}),
        "an action that names no topic needs mqtt.commandTopic",
        "spec.mqtt.commandTopic",
    ),
    Refusal(
        "bounds of a property the wrong way round",
        _profile(properties=[{"name": "airflow", "minimum": "81.5", "maximum": 9}]),
        "minimum is above maximum",
        "spec.properties[0].minimum",
        "minimum 81.5 is above maximum 9",
    ),
    Refusal(
        "a property named like a word of the expression language",
        _profile(properties=[{"name": "airflow"}, {"name": "in"}]),
        "is a reserved word of expressions",
        "spec.properties[1].name",
        "in is a reserved word of expressions",
    ),
    Refusal(
        "an input that sets a property the device does not have",
        _profile(
            actions=[
                {
                    "name": "setAirflow",
                    "idempotency": "Idempotent",
                    "input": [{"name": "value", "property": "fan"}],
                }
            ]
        ),
        "an action's input sets a property that the profile does not have",
        "spec.actions",
    ),
    Refusal(
        "a step limit without anything to measure the step from",
        _profile(
            actions=[
                {
                    "name": "setAirflow",
                    "idempotency": "Idempotent",
                    "input": [{"name": "value", "maximumStep": 5}],
                }
            ]
        ),
        "maximumStep needs the property that is measured",
        "spec.actions[0].input[0].maximumStep",
    ),
    Refusal(
        "a step below zero",
        _profile(
            actions=[
                {
                    "name": "setAirflow",
                    "idempotency": "Idempotent",
                    "input": [{**INPUT, "maximumStep": "-0.5"}],
                }
            ]
        ),
        "must be 0 or above",
        "spec.actions[0].input[0].maximumStep",
        "-0.5 is not 0 or above",
    ),
    Refusal(
        "a safe state that the device cannot be told",
        _profile(safeState={"action": "close"}),
        "safeState names an action that the profile does not have",
        "spec.safeState.action",
        "safeState names close, which is not among the actions",
    ),
    Refusal(
        "a confirmation by a property that is not there",
        _profile(confirmation={"property": "flow", "expression": "true", "timeout": "5s"}),
        "confirmation reads a property that the profile does not have",
        "spec.confirmation.property",
        "confirmation reads flow, which is not among the properties",
    ),
    Refusal(
        "a limit on an action that is not there",
        _profile(limits=[{"action": "close", "input": "value", "maximum": 3}]),
        "limits name an action that the profile does not have",
        "spec.limits",
    ),
    Refusal(
        "freshness that is checked against a beat that nobody sends",
        _profile(guards={"freshness": "Checked"}),
        "guards.freshness Checked needs mqtt.beatTopic",
        "spec.mqtt.beatTopic",
    ),
    Refusal(
        "half a token bucket",
        _profile(actuatorRateLimit={"burst": 5}),
        "burst and per belong together",
        "spec.actuatorRateLimit.burst",
    ),
    Refusal(
        "a rate limit that limits nothing",
        _profile(actuatorRateLimit={}),
        "a rate limit needs minimumInterval, or burst and per",
        "spec.actuatorRateLimit.minimumInterval",
    ),
    Refusal(
        "a lease that no beat could keep",
        _profile(authority={"leaseDuration": "1s"}),
        "must be between 5s and 10m",
        "spec.authority.leaseDuration",
        "1s is not between 5s and 10m",
    ),
    Refusal(
        "an offline grant longer than a month",
        _profile(authority={"offlineGrant": "721h"}),
        "must be between 0s and 720h",
        "spec.authority.offlineGrant",
        "721h is not between 0s and 720h",
    ),
)

VERSIONS = (
    Refusal(
        "two sources of the bytes",
        _source(https={"url": "https://10.0.0.1/m.onnx"}, file={"path": "m.onnx"}),
        "exactly one of https, file and oci is needed",
        "spec.source",
    ),
    Refusal(
        "a path that climbs out of the folder",
        _source(file={"path": "model/../../secret"}),
        "the path leads out of the folder",
        "spec.source.file.path",
    ),
)

CLUSTERS = (
    Refusal(
        "another cluster without a way in",
        cluster("plant", type="Kubeconfig"),
        "Kubeconfig needs secretRef, InCluster takes none",
        "spec.connection.secretRef",
    ),
    Refusal(
        "the operator's own cluster under another name",
        cluster("plant"),
        "the InCluster connection is the one of the Cluster named local",
        "spec.connection.type",
    ),
    Refusal(
        "a price below zero",
        changed(cluster(), spec__price={"edge": -1}),
        "must be 0 or above",
        "spec.price.edge",
        "-1 is not 0 or above",
    ),
)

PLACEMENTS = (
    Refusal(
        "a placement whose name hides what it places",
        placement("other.hq"),
        "the name of a placement is <policy>.<site>",
        "<nil>",
    ),
)

POLICIES = (
    Refusal(
        "a selector that selects everything",
        _policy(deviceSelector={}),
        "an empty selector is refused: name at least one label",
        "spec.deviceSelector",
    ),
    Refusal(
        "a comparison with nothing",
        _policy(deviceSelector={"matchExpressions": [{"key": "zone", "operator": "In"}]}),
        "In and NotIn need values; Exists and DoesNotExist take none",
        "spec.deviceSelector.matchExpressions[0].values",
        "zone: In and NotIn need values; Exists and DoesNotExist take none",
    ),
    Refusal(
        "a toleration of every key that compares a value",
        _policy(placement={"tolerations": [{"operator": "Equal", "value": "x"}]}),
        "a toleration without key needs operator Exists",
        "spec.placement.tolerations[0].operator",
    ),
    Refusal(
        "a toleration that compares what it does not look at",
        _policy(placement={"tolerations": [{"key": "k", "operator": "Exists", "value": "x"}]}),
        "operator Exists takes no value",
        "spec.placement.tolerations[0].value",
    ),
    Refusal(
        "a version and an alias at once",
        _policy(modelRef={"version": "v1", "model": "m", "alias": "Stable"}),
        "modelRef needs either version, or model and alias",
        "spec.modelRef",
    ),
    Refusal(
        "an alias of no model",
        _policy(modelRef={"alias": "Stable"}),
        "modelRef needs either version, or model and alias",
        "spec.modelRef",
    ),
    Refusal(
        "a high hazard that acts by itself",
        _policy(hazard="High", mode="Autonomous"),
        "hazard High allows at most mode Supervised",
        "spec.mode",
    ),
    Refusal(
        "a high hazard that one person agrees to",
        _policy(hazard="High", mode="Supervised", approval={"quorum": 1}),
        "hazard High needs an approval quorum of at least 2",
        "spec.approval",
    ),
    Refusal(
        "a high hazard that is left alone to learn from it",
        _policy(hazard="High", mode="Supervised", approval=APPROVAL, outcomes=[OUTCOME]),
        "hazard High allows no holdout",
        "spec.outcomes",
    ),
    Refusal(
        "supervision without a supervisor",
        _policy(mode="Supervised"),
        "mode Supervised needs approval",
        "spec.approval",
    ),
    Refusal(
        "an approval condition that is never asked",
        _policy(mode="Supervised", approval={"when": "true"}),
        "require When needs the expression when, and only it takes one",
        "spec.approval.when",
    ),
    Refusal(
        "outputs of no model",
        _policy(modelRef=None),
        "outputs need a modelRef",
        "spec.modelRef",
    ),
    Refusal(
        "a default for an input that is skipped",
        _policy(inputs=[{**CO2, "default": 400}]),
        "onInvalid Default needs default, and only it takes one",
        "spec.inputs[0].default",
        "co2: onInvalid Default needs default, and only it takes one",
    ),
    Refusal(
        "an input of no device in particular",
        _policy(inputs=[{**CO2, "deviceRef": {}}]),
        "a deviceRef says name or parameter",
        "spec.inputs[0].deviceRef.name",
    ),
    Refusal(
        "a rate of change that nothing passes",
        _policy(inputs=[{**CO2, "maximumRate": 0}]),
        "maximumRate is not above zero",
        "spec.inputs[0].maximumRate",
    ),
    Refusal(
        "an age beyond a year",
        _policy(inputs=[{**CO2, "maximumAge": "9000h"}]),
        "must be between 1ms and 8760h",
        "spec.inputs[0].maximumAge",
        "9000h is not between 1ms and 8760h",
    ),
    Refusal(
        "a feature of an input that is not read",
        _policy(features=[{**SLOPE, "input": "noise"}]),
        "a feature is made of an input that the policy does not have",
        "spec.features",
    ),
    Refusal(
        "a feature that hides an input behind its name",
        _policy(features=[{**SLOPE, "name": "light"}]),
        "a feature has the name of an input that it is not the last value of",
        "spec.features",
    ),
    Refusal(
        "a slope over no time",
        _policy(features=[{"name": "slope", "input": "co2", "aggregate": "Slope"}]),
        "an aggregate other than Last needs a window, and Last takes none",
        "spec.features[0].window",
        "slope: an aggregate other than Last needs a window, and Last takes none",
    ),
    Refusal(
        "a count with a coverage",
        _policy(features=[{**SLOPE, "aggregate": "Count", "minimumCoverage": "0.5"}]),
        "Last and Count need no minimumCoverage: leave it out",
        "spec.features[0].minimumCoverage",
        "slope: Last and Count need no minimumCoverage: leave it out",
    ),
    Refusal(
        "a coverage of more than the window",
        _policy(features=[{**SLOPE, "minimumCoverage": "1.5"}]),
        "must be between 0 and 1",
        "spec.features[0].minimumCoverage",
        "1.5 is not between 0 and 1",
    ),
    Refusal(
        "a window longer than a day",
        _policy(features=[{**SLOPE, "window": "25h"}]),
        "must be between 1ms and 24h",
        "spec.features[0].window",
        "25h is not between 1ms and 24h",
    ),
    Refusal(
        "a variable that hides an input",
        _policy(variables=[{"name": "co2", "expression": "1.0"}]),
        "a variable has the name of an input or feature",
        "spec.variables",
    ),
    Refusal(
        "an output that hides an input",
        _policy(inference={"outputs": [{"name": "co2", "output": "probabilities"}]}),
        "an output has the name of an input, feature or variable",
        "spec.inference.outputs",
    ),
    Refusal(
        "an inference that is never given up",
        _policy(inference={"timeout": "2m"}),
        "must be between 1ms and 1m",
        "spec.inference.timeout",
        "2m is not between 1ms and 1m",
    ),
    Refusal(
        "a latency budget of no time",
        _policy(latencyBudget="0s"),
        "must be between 1ms and 1h",
        "spec.latencyBudget",
        "0s is not between 1ms and 1h",
    ),
    Refusal(
        "a signal that clears above what raises it",
        _policy(signal=SIGNAL),
        "raiseAt and clearAt are the wrong way round for the direction",
        "spec.signal.clearAt",
    ),
    Refusal(
        "a limit on an input that is not set",
        _policy(action__limits=[{"input": "angle", "maximum": 3}]),
        "a limit bounds an input that the action does not set",
        "spec.action.limits",
    ),
    Refusal(
        "a command that may be obeyed for long",
        _policy(action__timeToLive="6m"),
        "must be between 100ms and 5m",
        "spec.action.timeToLive",
        "6m is not between 100ms and 5m",
    ),
    Refusal(
        "more records than decisions",
        _policy(record={"routineSampleRate": "1.01"}),
        "must be between 0 and 1",
        "spec.record.routineSampleRate",
        "1.01 is not between 0 and 1",
    ),
)

REFUSALS = (
    *MODELS,
    *SITES, *PROFILES, *READING, *COMMANDING, *DEVICES,
    *VERSIONS, *CLUSTERS, *PLACEMENTS, *POLICIES,
)  # fmt: skip
"""Every document that is refused when it is created."""

AUTHORITIES = (
    Change(
        "an epoch that falls",
        held("edge-1", 7),
        held("edge-1", 6, 7),
        "status.authority.epoch never falls and never vanishes",
        "status.authority.epoch",
    ),
    Change(
        "an epoch that vanishes with its parent",
        held("edge-1", 7),
        {**room.device(), "status": {"observedGeneration": 2}},
        "status.authority.epoch never falls and never vanishes",
        "status.authority.epoch",
    ),
    Change(
        "a highest number that falls",
        held("edge-1", 7, 9),
        held("edge-1", 8),
        "status.authority.lastIssued never falls",
        "status.authority.lastIssued",
    ),
    Change(
        "a second holder of the same epoch",
        held("edge-1", 7),
        held("edge-2", 7),
        "a grant needs a higher epoch",
        "status.authority.holder",
    ),
    Change(
        "a right that was given back and is granted under its old number",
        held(None, 7),
        held("edge-1", 7),
        "a grant needs a higher epoch",
        "status.authority.holder",
    ),
    Change(
        "a number above the highest that was issued",
        held("edge-1", 7),
        {
            **room.device(),
            "status": {"authority": {"holder": "edge-1", "epoch": 9, "lastIssued": 8}},
        },
        "lastIssued is below epoch",
        "status.authority.lastIssued",
    ),
)
"""Changes of status that are refused."""

CHANGES = (
    Change(
        "a device that is somewhere else from now on",
        room.device(),
        changed(room.device(), spec__site="annex"),
        "site cannot change: delete the Device and create it at the other site",
        "spec.site",
    ),
    Change(
        "other bytes under the same version",
        room.version(),
        changed(room.version(), spec__digest="sha256:" + "cd" * 32),
        "a ModelVersion never changes: create another one",
        "spec",
    ),
    Change(
        "a version that the agents are to run from now on",
        room.version(),
        changed(room.version(), spec__runtime={"isolation": "Agent"}),
        "a ModelVersion never changes: create another one",
        "spec",
    ),
    Change(
        "a placement of something else",
        placement(),
        changed(placement(), spec__site="annex"),
        "a placement never changes its policy or site",
        "spec",
    ),
)
"""Changes of spec that are refused."""
