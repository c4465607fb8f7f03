"""Which nodes may serve one policy at one site, and why the others may not.

Every node is asked the same ordered questions; the first that says no gives the reason that users
read, so that the order of nodes or of a set never decides what they see. Answers that concern what
is there (`STANDING`) also hold for a replica that runs; answers that concern room (`ROOM`) only for
a new one: a working replica is never evicted because its node filled up.
"""

import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from foreshore_api import v1alpha1
from foreshore_api.reasons import placement as reasons
from foreshore_planner import health, latency, priors, residuals, snapshot
from foreshore_planner.placement import load

TAINTS_TOLERATED_ALWAYS = frozenset(
    {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
)
"""Inference Pods tolerate these without limit; whether such a node is used is ours to decide."""

TAINT_OF_CORDON = "node.kubernetes.io/unschedulable"
"""Kubernetes' own mark of a cordoned node; `is_schedulable` speaks of it."""

TIGHT: Final = 3.0
"""Of a budget below so many times the declared inference, expectations are no ground."""

REFINED: Final = 8
"""Nodes beyond the budget by their bound whose stages are added up, of a placement's candidates."""

ASKED_ELSEWHERE = TAINTS_TOLERATED_ALWAYS | {TAINT_OF_CORDON}


@dataclass(frozen=True, slots=True)
class Demand:
    """What one placement asks of a node."""

    namespace: str
    policy: str
    site: str
    placement: v1alpha1.placing.Placement
    model_version: priors.Version
    requests: snapshot.ComputeResources
    budget: float
    """The latency budget in seconds."""
    expected_inference: float
    """The declared p99 in seconds."""
    busy: float = 0.0
    """The share of a core that its calls take."""

    @property
    def at(self) -> snapshot.At:
        """The placement."""
        return (self.namespace, self.policy, self.site)

    @property
    def is_tight(self) -> bool:
        """Whether the budget is less than `TIGHT` times the declared expectation.

        A declaration is a guess about a common node: where there is so little beside it, a node of
        which nobody measured this model or the way there may well be over the budget. So it is
        taken only where no node is known to be within it.
        """
        return self.budget < TIGHT * self.expected_inference


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a node may not serve."""

    node: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CountedNodes:
    """Nodes that may not serve for the same reason, counted and not kept."""

    first: Rejection
    """Of the first of them by name."""
    count: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that may serve, with what it would cost and how fast it would be."""

    node: snapshot.Node
    prediction: latency.Prediction
    price: float
    utilisation: float = 0.0
    """The share of the node that its replicas would be at work."""
    is_untried: bool = False
    """Whether nobody measured what it is predicted from, while another is measured within a tight
    budget."""

    @property
    def is_saturated(self) -> bool:
        """Whether queues there would grow faster than load: nothing that is predicted holds."""
        return self.utilisation > load.FULL

    def is_over(self, budget: float) -> bool | None:
        """Whether it is predicted to be over the budget; None where nothing is known."""
        total = self.prediction.total
        return None if total is None else total > budget


@dataclass(frozen=True, slots=True)
class Offers:
    """Which nodes may serve, and why the others may not, each in order of name."""

    fitting: tuple[Candidate, ...]
    rejected: tuple[Rejection, ...]
    counted: tuple[CountedNodes, ...] = ()
    """Rejected as well, and not looked at one by one."""
    full: tuple[Candidate, ...] = ()
    """Of the rejected those that would serve if somebody left them."""
    quarantined: tuple[Candidate, ...] = ()
    """Of the rejected those that would serve if they did not fall silent again and again."""

    @property
    def total(self) -> int:
        """How many nodes there are."""
        others = sum(nodes.count for nodes in self.counted)
        return len(self.fitting) + len(self.rejected) + others


@dataclass(frozen=True)
class NodeView:
    """One node with all that the questions need."""

    demand: Demand
    node: snapshot.Node
    assessment: health.Assessment
    free: snapshot.ComputeResources
    evidence: latency.Evidence
    quarantine: str | None = None
    """Why nothing new goes there for a while, in words; None where it may."""
    node_load: load.NodeLoad = load.NO_LOAD

    @functools.cached_property
    def prediction(self) -> latency.Prediction:
        """What the latency would be there, worked out where somebody asks."""
        demand = self.demand
        return latency.predict(
            self.evidence,
            self.node.name,
            demand.expected_inference,
            demand.budget,
            pooled=latency.alike(self.evidence.prior, demand.model_version, demand.site, self.node),
            beside=self.node_load.contention(demand.at, demand.busy),
            margin=residuals.margin(self.evidence.prior, demand.site, self.node),
        )

    @functools.cached_property
    def utilisation(self) -> float:
        """The share of the node that its replicas would be at work with this one's calls."""
        return self.node_load.utilisation(self.demand.at, self.demand.busy)


Question = Callable[[NodeView], Rejection | None]


def _no(view: NodeView, reason: str, message: str) -> Rejection:
    return Rejection(view.node.name, reason, message)


def is_of_site(view: NodeView) -> Rejection | None:
    """It is the site's own, or of tier Cloud; never an edge node of another site."""
    if view.node.site == view.demand.site or view.node.tier is v1alpha1.Tier.CLOUD:
        return None
    return _no(view, reasons.OTHER_SITE, "an edge node of another site")


def is_of_tier(view: NodeView) -> Rejection | None:
    """EdgeOnly and CloudOnly exclude the other tier; EdgeFirst and Cheapest only rank."""
    wanted = {"EdgeOnly": v1alpha1.Tier.EDGE, "CloudOnly": v1alpha1.Tier.CLOUD}.get(
        view.demand.placement.tier.value
    )
    if wanted is None or view.node.tier is wanted:
        return None
    return _no(view, reasons.TIER, f"the policy asks for {view.demand.placement.tier}")


def is_selected(view: NodeView) -> Rejection | None:
    """Every label of `nodeSelector` is there with its value."""
    for key, value in sorted(view.demand.placement.node_selector.items()):
        if view.node.labels.get(key) != value:
            return _no(view, reasons.NODE_SELECTOR, f"it lacks the label {key}={value}")
    return None


def is_tolerated(view: NodeView) -> Rejection | None:
    """Every taint that keeps new Pods away is tolerated."""
    return _untolerated(view, frozenset({"NoSchedule", "NoExecute"}))


def is_suffered(view: NodeView) -> Rejection | None:
    """Every taint that drives running Pods away is tolerated."""
    return _untolerated(view, frozenset({"NoExecute"}))


def _untolerated(view: NodeView, effects: frozenset[str]) -> Rejection | None:
    for taint in view.node.taints:
        if taint.effect not in effects or taint.key in ASKED_ELSEWHERE:
            continue
        if not any(
            _tolerates(toleration, taint) for toleration in view.demand.placement.tolerations
        ):
            return _no(view, reasons.TAINT, f"the taint {taint.key} is not tolerated")
    return None


def is_usable(view: NodeView) -> Rejection | None:
    """The node answers for itself: Ready, with a fresh Lease."""
    if view.assessment.is_usable:
        return None
    return _no(view, view.assessment.verdict.value, view.assessment.evidence)


def is_schedulable(view: NodeView) -> Rejection | None:
    """The node is not cordoned."""
    return None if view.node.is_schedulable else _no(view, reasons.CORDONED, "the node is cordoned")


def has_cpu(view: NodeView) -> Rejection | None:
    """The request fits into the CPU that nobody else has asked for."""
    if view.free.cpu >= view.demand.requests.cpu:
        return None
    return _no(
        view,
        reasons.INSUFFICIENT_CPU,
        f"{view.demand.requests.cpu}m asked, {max(0, view.free.cpu)}m free",
    )


def has_memory(view: NodeView) -> Rejection | None:
    """The request fits into the memory that nobody else has asked for."""
    if view.free.memory >= view.demand.requests.memory:
        return None
    return _no(
        view,
        reasons.INSUFFICIENT_MEMORY,
        f"{view.demand.requests.memory >> 20}Mi asked, {max(0, view.free.memory) >> 20}Mi free",
    )


def has_accelerator(view: NodeView) -> Rejection | None:
    """Every extended resource that is asked for is there, and nobody else has it."""
    for name, asked in view.demand.requests.extended:
        if view.node.allocatable.count(name) <= 0:
            return _no(view, reasons.NO_ACCELERATOR, f"no {name}")
        free = max(0, view.free.count(name))
        if free < asked:
            message = f"{asked} {name} asked, {free} free"
            return _no(view, reasons.INSUFFICIENT_ACCELERATOR, message)
    return None


def is_steady(view: NodeView) -> Rejection | None:
    """The node does not fall silent again and again."""
    return None if view.quarantine is None else _no(view, reasons.QUARANTINED, view.quarantine)


def late(candidate: Candidate, budget: float) -> Rejection | None:
    """Say of a candidate that it is taken only where none is better: over the budget, saturated."""
    if candidate.is_saturated:
        busy, limit = f"{candidate.utilisation:.0%}", f"{load.FULL:.0%}"
        message = f"its replicas would be at work {busy} of the time, more than {limit}"
        return Rejection(candidate.node.name, reasons.SATURATED, message)
    if candidate.is_untried:
        message = "nobody measured the model or the way there, and the budget is tight"
        return Rejection(candidate.node.name, reasons.UNTRIED, message)
    total = candidate.prediction.total
    if total is None or total <= budget:
        return None
    message = f"predicted {milliseconds(total)} of {milliseconds(budget)}"
    return Rejection(candidate.node.name, reasons.LATENCY_BUDGET, message)


STANDING: tuple[Question, ...] = (
    is_of_site,  # silent about nodes that were never meant
    is_of_tier,
    is_selected,
    is_suffered,
)
ROOM: tuple[Question, ...] = (
    is_tolerated,
    is_usable,  # health before room: a dead node has plenty of both
    is_schedulable,
    has_accelerator,  # before room: few have any
    has_cpu,
    has_memory,  # and no question of time: the latency budget ranks, see `choose`
    is_steady,  # last: such a node would do, and does where no other is
)


QUESTIONS = (*STANDING, *ROOM)


def examine(view: NodeView, questions: Sequence[Question]) -> Rejection | None:
    """Return the first objection to a node."""
    for question in questions:
        if (objection := question(view)) is not None:
            return objection
    return None


def find(
    views: Sequence[NodeView],
    counted: tuple[CountedNodes, ...],
    prices: Mapping[tuple[str, v1alpha1.Tier], float],
) -> Offers:
    """Divide nodes into those that may serve and those that may not, each in order of name."""
    usable: list[Candidate] = []
    rejected: list[Rejection] = []
    full: list[Candidate] = []
    quarantined: list[Candidate] = []
    for view in sorted(views, key=lambda view: view.node.name):
        objection = examine(view, QUESTIONS)
        if objection is None:
            usable.append(candidate(view, prices))
        else:
            rejected.append(objection)
        if objection is not None and objection.reason in reasons.FULL:
            full.append(candidate(view, prices))
        if objection is not None and objection.reason == reasons.QUARANTINED:
            quarantined.append(candidate(view, prices))
    demand = views[0].demand if views else None
    if demand is not None:
        coarse = _beyond_few([*usable, *full], demand.budget)
        usable, full = ([_rough(near, coarse) for near in offered] for offered in (usable, full))
    if demand is not None and demand.is_tight and any(_is_proven(near, demand) for near in usable):
        usable, full = ([_doubted(near) for near in offered] for offered in (usable, full))
    return Offers(tuple(usable), tuple(rejected), counted, tuple(full), tuple(quarantined))


def _beyond_few(near: Sequence[Candidate], budget: float) -> frozenset[str]:
    """Return the nodes whose bounds miss the budget by more than those of the `REFINED` nearest.

    Of a hundred nodes behind the same link, the stages of eight are added up and not of all.
    """
    late = [
        (candidate.prediction.bound, candidate.node.name)
        for candidate in near
        if candidate.prediction.bound is not None and candidate.prediction.bound > budget
    ]
    return frozenset(name for _, name in sorted(late)[REFINED:])


def _rough(candidate: Candidate, coarse: Collection[str]) -> Candidate:
    """Return a candidate by its bound alone, where it is one of those."""
    if candidate.node.name not in coarse:
        return candidate
    return replace(candidate, prediction=replace(candidate.prediction, is_refined=False))


def _is_proven(candidate: Candidate, demand: Demand) -> bool:
    """Whether a candidate is known to be within the budget, and not too busy for that to hold."""
    is_within = candidate.is_over(demand.budget) is False
    return is_within and candidate.prediction.is_known and not candidate.is_saturated


def _doubted(candidate: Candidate) -> Candidate:
    return candidate if candidate.prediction.is_known else replace(candidate, is_untried=True)


def candidate(view: NodeView, prices: Mapping[tuple[str, v1alpha1.Tier], float]) -> Candidate:
    """Return a node as a candidate, whether or not it has room."""
    price = prices.get((view.node.cluster, view.node.tier), 0.0)
    cost = price * view.demand.requests.cpu / 1000
    return Candidate(view.node, view.prediction, cost, view.utilisation)


def _tolerates(toleration: v1alpha1.selection.Toleration, taint: snapshot.Taint) -> bool:
    if toleration.key is not None and toleration.key != taint.key:
        return False
    if toleration.effect is not None and toleration.effect.value != taint.effect:
        return False
    return toleration.operator.value == "Exists" or (toleration.value or "") == taint.value


def milliseconds(seconds: float) -> str:
    """Write seconds for a person, in milliseconds."""
    return f"{seconds * 1000:.0f}ms" if seconds >= 0.1 else f"{seconds * 1000:.3g}ms"
