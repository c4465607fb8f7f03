"""What is kept by site leads to the same assignments as looking through everything."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import resources
from foreshore_api import meta, v1alpha1
from foreshore_api.wire import assignment
from foreshore_hub import by_site, world
from foreshore_kube import informer, kinds

SITES: Final = ("hq", "annex")
NODES: Final = {"edge-1": "hq", "edge-2": "annex", "cloud-1": None}


def device(name: str, site: str, epoch: int | None) -> v1alpha1.Device:
    authority = {"holder": "edge-1", "epoch": epoch, "lastIssued": epoch}
    status = {"authority": authority} if epoch else {}
    return resources.device(name, spec={"site": site}, status=status)


devices = st.builds(
    device, st.sampled_from(["d1", "d2", "d3"]), st.sampled_from(SITES), st.sampled_from([None, 7])
)
others = st.sampled_from(
    [
        resources.policy(),
        resources.placement(),
        resources.placement(("r0", "Active", "Ready", "10.0.0.1:80")),
        *(resource for resource in resources.everything() if resource.kind != "Device"),
    ]
)
Step = tuple[meta.Resource, bool]
steps = st.lists(st.tuples(devices | others, st.booleans()), max_size=12)


class Hub:
    """Two worlds over the same mirrors, and assignments of those nodes alone that are touched."""

    def __init__(self) -> None:
        self.mirrors: dict[type[meta.Resource], dict[informer.ObjectKey, meta.Resource]] = {
            kind: {} for kind in world.KINDS
        }
        labels = {name: {meta.LABEL_SITE: site} if site else {} for name, site in NODES.items()}
        nodes = {
            informer.ObjectKey("", name): world.LabelledNode(name, labels[name]) for name in NODES
        }
        self.contents = by_site.SiteContents()
        self.quick = world.World(nodes, self.mirrors, {}, "foreshore-agent", self.contents)
        self.plain = world.World(nodes, self.mirrors, {}, "foreshore-agent")
        self.kept = {name: compiled(self.quick, name) for name in NODES}

    def play(self, resource: meta.Resource, *, is_there: bool) -> None:
        mirror = self.mirrors[type(resource)]
        key = informer.ObjectKey(resource.namespace, resource.name)
        old, new = mirror.get(key), resource if is_there else None
        if old is None and new is None:
            return
        if new is None:
            del mirror[key]
        else:
            mirror[key] = new
        change: informer.ObjectChange[Any] = informer.ObjectChange(
            kinds.of(type(resource)), key, old, new
        )
        self.contents.note(change)
        for node in self.touched(world.touched(change)):
            self.kept[node] = compiled(self.quick, node)

    def touched(self, what: world.Touched) -> list[str]:
        if "*" in what.nodes:
            return [*NODES]
        return [
            node
            for node, site in NODES.items()
            if node in what.nodes
            or (site is not None and site in {place.site for place in what.sites})
            or (site is not None and self.quick.site_namespace(site) in what.namespaces)
        ]


def compiled(hub_world: world.World, node: str) -> assignment.Assignment:
    question = hub_world.question(node)
    assert question is not None
    return question().assignment


@given(steps)
@settings(deadline=None)
def test_what_is_compiled_of_touched_sites_alone_is_what_is_compiled_of_everything(
    played: list[Step],
) -> None:
    hub = Hub()
    for resource, is_there in played:
        hub.play(resource, is_there=is_there)
        assert hub.kept == {name: compiled(hub.plain, name) for name in NODES}


def test_a_site_that_has_nothing_left_is_forgotten() -> None:
    contents = by_site.SiteContents([device("d1", "hq", None)])
    key = informer.ObjectKey("hq", "d1")
    gone = device("d1", "hq", None)
    contents.note(informer.ObjectChange(kinds.of(v1alpha1.Device), key, gone, None))
    assert contents.at(by_site.SitePlace("hq", "hq")) == ()
    assert not contents._at
