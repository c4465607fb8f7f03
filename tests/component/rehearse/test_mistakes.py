"""The example, broken as a person would break it: what each verb says, before anything runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer import testing

from foreshore_agent.main import application

pytestmark = [pytest.mark.component, pytest.mark.timeout(120)]

EXAMPLE = Path(__file__).parents[3] / "examples" / "01-ventilate-a-room"
Json = dict[str, Any]
Edit = Callable[[dict[str, Json]], None]


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    folder = tmp_path / "resources"
    shutil.copytree(EXAMPLE, folder)
    return folder


def edit(resources: Path, change: Edit) -> None:
    """Change documents of the example, by kind."""
    path = resources / "room.yaml"
    documents = {each["kind"]: each for each in yaml.safe_load_all(path.read_text())}
    change(documents)
    path.write_text(yaml.safe_dump_all(documents.values()))


def rehearse(resources: Path, *more: str, device: str = "room-301") -> testing.Result:
    state = resources.parent / "state"
    words = ("--resources", resources, "--state", state, "--csv", resources / "occupancy.csv")
    result = testing.CliRunner().invoke(
        application, ["rehearse", *map(str, words), "--device", device, *more]
    )
    assert not state.exists(), "nothing was begun"
    return result


def misname_property(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["inputs"][1]["property"] = "c02"


def misname_trigger(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["trigger"]["properties"] = ["co"]


def mistake_kind(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["kind"] = "DecisionPolicies"


def mistake_group(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["apiVersion"] = "forshore.dev/v1alpha1"


def mistake_version(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["apiVersion"] = "foreshore.dev/v1"


def add_field(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["latencyBudjet"] = "1s"


def add_inner_field(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["inputs"][0]["maxAge"] = "1s"


def lose_profile(documents: dict[str, Json]) -> None:
    documents["Device"]["spec"]["profileRef"]["name"] = "room-climat"


def lose_model(documents: dict[str, Json]) -> None:
    documents["ModelVersion"]["spec"]["modelRef"]["name"] = "ocupancy"


def lose_version(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["modelRef"]["version"] = "occupancy-v2"


def lose_site(documents: dict[str, Json]) -> None:
    documents["Device"]["spec"]["site"] = "hg"


def mistake_unit(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["inputs"][1]["unit"] = "ppm"


def mistake_selector(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["deviceSelector"] = {"matchLabels": {"zone": "wset"}}


def forget_namespace(documents: dict[str, Json]) -> None:
    del documents["DecisionPolicy"]["metadata"]["namespace"]


def mistake_digest(documents: dict[str, Json]) -> None:
    documents["ModelVersion"]["spec"]["digest"] = "sha256:" + "ab" * 32


def misplace_artefact(documents: dict[str, Json]) -> None:
    path = "examples/01-ventilate-a-room/occupancy-v1.onnx"
    documents["ModelVersion"]["spec"]["source"] = {"file": {"path": path}}
    documents["ModelVersion"]["spec"]["digest"] = "sha256:" + "ab" * 32


def widen_limit(documents: dict[str, Json]) -> None:
    limit = {"action": "setAirflow", "input": "value", "maximum": 900}
    documents["Device"]["spec"]["limits"] = [limit]


def mistake_expression(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["rules"][0]["expression"] = "scor >= 0.8"


def mistake_output(documents: dict[str, Json]) -> None:
    documents["DecisionPolicy"]["spec"]["inference"]["outputs"][0]["output"] = "probability"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            misname_property,
            (
                "room.yaml#7: spec.inputs[co2].property: the profile has no property c02",
                "did you mean co2?",
                "light",
                "(DecisionPolicy hq/ventilate-when-occupied, ReferenceNotFound)",
            ),
            id="a typing error in a property",
        ),
        pytest.param(
            misname_trigger,
            ("spec.trigger.properties: the profile has no property co; did you mean co2?",),
            id="a typing error in the trigger",
        ),
        pytest.param(
            mistake_kind,
            ("room.yaml#7", "DecisionPolicies is no kind", "did you mean DecisionPolicy?"),
            id="a wrong kind",
        ),
        pytest.param(
            mistake_group,
            ("room.yaml#7", "forshore.dev/v1alpha1", "apiVersion is foreshore.dev/v1alpha1"),
            id="a typing error in the group",
        ),
        pytest.param(
            mistake_version,
            ("room.yaml#7", "apiVersion is foreshore.dev/v1alpha1"),
            id="a version that is not served",
        ),
        pytest.param(
            add_field,
            ("room.yaml#7: spec.latencyBudjet", "no such field; did you mean latencyBudget?"),
            id="an unknown field",
        ),
        pytest.param(
            add_inner_field,
            ("spec.inputs[0].maxAge", "no such field; did you mean maximumAge?"),
            id="an unknown field of a list",
        ),
        pytest.param(
            lose_profile,
            (
                "room.yaml#4: spec.profileRef.name: there is no DeviceProfile room-climat",
                "did you mean room-climate?",
            ),
            id="a missing profile",
        ),
        pytest.param(
            lose_model,
            ("room.yaml#6: spec.modelRef.name: there is no Model ocupancy", "mean occupancy?"),
            id="a missing model",
        ),
        pytest.param(
            lose_version,
            (
                "room.yaml#7: spec.modelRef.version: there is no ModelVersion occupancy-v2",
                "did you mean occupancy-v1?",
            ),
            id="a missing version",
        ),
        pytest.param(
            lose_site,
            ("room.yaml#4: spec.site: there is no Site hg in namespace hq", "known: hq"),
            id="a missing site",
        ),
        pytest.param(
            mistake_unit,
            (
                "room.yaml#7: spec.inputs[co2].unit: is ppm, but the property is in [ppm]: write"
                " that",
                "UnitMismatch",
            ),
            id="a wrong unit",
        ),
        pytest.param(
            mistake_selector,
            (
                "room.yaml#7: spec.deviceSelector: selects no Device",
                "room-301 (zone=west)",
                "did you mean zone=west?",
            ),
            id="a typing error in the selector",
        ),
        pytest.param(
            forget_namespace,
            (
                "room.yaml#7: spec.deviceSelector: selects no Device of namespace default",
                "room-301 that it would select is in namespace hq",
            ),
            id="a forgotten namespace",
        ),
        pytest.param(
            mistake_digest,
            (
                "room.yaml#6: spec.digest: no *.onnx file",
                "occupancy-v1.onnx has sha256:3d27f9cb",
                "models-ca/ca.crt",
                "or mend the digest",
            ),
            id="a wrong digest",
        ),
        pytest.param(
            misplace_artefact,
            (
                "room.yaml#6: spec.source.file.path",
                "resources/examples/01-ventilate-a-room/occupancy-v1.onnx is not there",
                "a path counts from the folder of the resources",
            ),
            id="a path of an artefact that counts from elsewhere",
        ),
        pytest.param(
            widen_limit,
            ("room.yaml#4: spec.limits[setAirflow,value]", "WiderThanDevice"),
            id="a limit that is wider than the profile's",
        ),
        pytest.param(
            mistake_expression,
            ("room.yaml#7: spec.rules[occupied].expression", "scor", "CompileFailed"),
            id="a name in an expression that nothing gives",
        ),
        pytest.param(
            mistake_output,
            ("the model has no output probability", "did you mean probabilities?"),
            id="an output that the model does not have",
        ),
    ],
)
def test_a_mistake_in_the_resources_is_said_before_the_first_row(
    resources: Path, change: Edit, words: tuple[str, ...]
) -> None:
    edit(resources, change)
    said = rehearse(resources)
    assert said.exit_code == 2, said.output
    assert "Traceback" not in said.output
    for each in words:
        assert each in said.output


def test_every_mistake_is_said_at_once(resources: Path) -> None:
    edit(resources, misname_property)
    edit(resources, lose_model)
    edit(resources, lambda each: each["DecisionPolicy"]["spec"]["inputs"][0].update(unit="lm"))
    said = rehearse(resources)
    assert "the profile has no property c02" in said.output
    assert "is lm, but the property is in lx" in said.output
    assert "there is no Model ocupancy" in said.output


def test_what_refers_to_a_refused_object_points_at_it(resources: Path) -> None:
    edit(resources, lambda each: each["DeviceProfile"]["spec"].update(topic="x"))
    said = rehearse(resources)
    assert "room.yaml#3: spec.topic" in said.output
    assert "DeviceProfile room-climate is refused, see there" in said.output


def test_the_other_suffix_is_read_and_one_name_in_two_files_is_refused(resources: Path) -> None:
    (resources / "room.yaml").rename(resources / "room.yml")
    assert rehearse(resources, "--map", "Nothing=co2").exit_code == 2
    shutil.copy(resources / "room.yml", resources / "room.yaml")
    said = rehearse(resources)
    assert said.exit_code == 2
    assert "room.yml#2: is there twice, first in room.yaml#2: remove or rename" in said.output


def test_two_documents_of_one_name_are_refused(resources: Path) -> None:
    with (resources / "room.yaml").open("a") as file:
        device = {"profileRef": {"name": "room-climate"}, "site": "hq"}
        metadata = {"name": "room-301", "namespace": "hq"}
        head = {"apiVersion": "foreshore.dev/v1alpha1", "kind": "Device"}
        file.write("---\n" + yaml.safe_dump({**head, "metadata": metadata, "spec": device}))
    said = rehearse(resources)
    assert said.exit_code == 2
    assert "room.yaml#8: is there twice, first in room.yaml#4" in said.output
    assert "(Device hq/room-301, Invalid)" in said.output


def test_a_file_with_another_suffix_is_named_where_nothing_is_found(resources: Path) -> None:
    (resources / "room.yaml").rename(resources / "room.yaml.txt")
    said = rehearse(resources)
    assert said.exit_code == 2
    assert "it holds no Device at all" in said.output
    assert "not read:" in said.output
    assert "room.yaml.txt" in said.output


def test_half_a_file_names_its_line(resources: Path) -> None:
    text = (resources / "room.yaml").read_text()
    (resources / "room.yaml").write_text(text.replace("spec:\n  profileRef", "spec\n  profileRef"))
    said = rehearse(resources)
    assert said.exit_code == 2
    assert "room.yaml: " in said.output
    assert "line" in said.output


def test_a_device_that_is_not_there_is_said_with_those_that_are(resources: Path) -> None:
    said = rehearse(resources, device="room-310")
    assert said.exit_code == 2
    assert "must hold one Device room-310; did you mean room-301?" in said.output


def test_a_device_that_no_policy_selects_is_said(resources: Path) -> None:
    with (resources / "room.yaml").open("a") as file:
        device = {"profileRef": {"name": "room-climate"}, "site": "hq"}
        metadata = {"name": "room-302", "namespace": "hq", "labels": {"zone": "east"}}
        head = {"apiVersion": "foreshore.dev/v1alpha1", "kind": "Device"}
        file.write("---\n" + yaml.safe_dump({**head, "metadata": metadata, "spec": device}))
    said = rehearse(resources, device="room-302")
    assert said.exit_code == 2
    assert "no DecisionPolicy of namespace hq selects Device room-302 (labels: zone=east)" in (
        said.output
    )


def recording(resources: Path, *lines: str) -> None:
    (resources / "occupancy.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("lines", "more", "words"),
    [
        pytest.param(
            ("Date,carbon,light,temperature", "2015-02-02 14:19:00,1,2,3"),
            (),
            (
                "DecisionPolicy ventilate-when-occupied is evaluated when co2 is reported"
                " (spec.trigger.properties), and no column is",
                "--map COLUMN=co2",
                "Date, carbon, light, temperature",
            ),
            id="a trigger that no column is",
        ),
        pytest.param(
            ("Date,carbon,light", "2015-02-02 14:19:00,1,2"),
            ("--map", "carbn=co2"),
            ("the recording has no column 'carbn'", "did you mean carbon?"),
            id="a typing error in a column",
        ),
        pytest.param(
            ("Date,carbon,light", "2015-02-02 14:19:00,1,2"),
            ("--map", "carbon=co"),
            ("the device has no property 'co'", "did you mean co2?"),
            id="a typing error in a mapped property",
        ),
        pytest.param(
            ("Date,a,b", "2015-02-02 14:19:00,1,2"),
            ("--map", "a=co2", "--map", "b=co2"),
            ("columns a and b are both mapped to co2",),
            id="two columns for one property",
        ),
        pytest.param(
            ("Date,co2", "2015-02-02 14:19:00,1", "soon,2"),
            (),
            ("row 2 (line 3), column Date: 'soon' is no time",),
            id="a broken time in the last row",
        ),
        pytest.param(
            ("Date,co2", "2015-02-02 14:19:00,1", "2099-02-02 14:19:00,2"),
            (),
            ("row 2 (line 3), column Date: 2099-02-02",),
            id="a row dated 2099",
        ),
        pytest.param(("Date,co2,CO2", "2015-02-02 14:19:00,1,2"), (), ("one name",), id="twice"),
    ],
)
def test_a_mistake_in_the_recording_is_said_before_the_first_row(
    resources: Path, lines: tuple[str, ...], more: tuple[str, ...], words: tuple[str, ...]
) -> None:
    recording(resources, *lines)
    said = rehearse(resources, *more)
    assert said.exit_code == 2, said.output
    for each in words:
        assert each in said.output


def test_an_input_that_no_column_gives_is_said_before_the_first_row(resources: Path) -> None:
    lines = (resources / "occupancy.csv").read_text().replace("Temperature", "Warmth")
    (resources / "occupancy.csv").write_text(lines)
    said = rehearse(resources)
    assert said.exit_code == 2
    assert "reads temperature (spec.inputs[temperature]), and no column is" in said.output
    assert "--map COLUMN=temperature gives it" in said.output


def test_a_policy_that_is_switched_off_and_a_device_that_is_locked_are_said_at_once(
    resources: Path,
) -> None:
    def change(documents: dict[str, Json]) -> None:
        documents["DecisionPolicy"]["spec"]["mode"] = "Disabled"
        documents["Device"]["spec"]["lock"] = "Locked"

    edit(resources, change)
    said = rehearse(resources)
    assert said.exit_code == 2
    assert "DecisionPolicy ventilate-when-occupied is Disabled (spec.mode)" in said.output
    assert "Device room-301 is locked (spec.lock)" in said.output


@pytest.mark.parametrize("inside", ["--csv", "--resources", "--models", "--credentials"])
def test_what_a_rehearsal_reads_is_never_replaced_with_the_one_before(
    resources: Path, inside: str
) -> None:
    state = resources.parent / "state"
    state.mkdir()
    (state / "rehearsal").write_text("an earlier one\n")
    kept = state / "kept"
    read = {"--resources": resources, "--csv": resources / "occupancy.csv"}
    shutil.copytree(resources, kept)
    read[inside] = kept / "occupancy.csv" if inside == "--csv" else kept
    words = [str(word) for pair in read.items() for word in pair]
    result = testing.CliRunner().invoke(
        application, ["rehearse", *words, "--state", str(state), "--device", "room-301"]
    )
    assert result.exit_code == 2
    assert f"{read[inside]} lies in {state}" in result.stderr
    assert (kept / "occupancy.csv").exists()


ROW_NAMES = """\
"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"
"1","2024-02-04 17:51:00",23.2,27.3,426,721.3,0.0048,1
"2","2024-02-04 17:52:00",23.2,27.3,430,714.0,0.0048,1
"""
MAPPED = (
    "--map", "Light=light", "--map", "CO2=co2", "--map", "Temperature=temperature",
    "--truth", "Occupancy",
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "more", "words"),
    [
        pytest.param(ROW_NAMES, (), ("row names, as R writes", "--row-names"), id="row names"),
        pytest.param(
            ROW_NAMES.replace('"1",', "").replace('"2",', "").replace("-02-04", "/02/04"),
            ("--truth", "Occupancy=busy"),
            ("column Occupancy never says busy", "--truth Occupancy=VALUE (it has '1')"),
            id="a truth that never comes",
        ),
        pytest.param(
            ROW_NAMES.replace('"1","2024-02-04', '"03/04/2024').replace(
                '"2","2024-02-04', '"04/04/2024'
            ),
            (),
            ("may be 2024-04-03", "--time-format day-first"),
            id="ambiguous days",
        ),
        pytest.param(
            ROW_NAMES.replace('"1",', "").replace('"2",', ""),
            ("--time-zone", "Europe/Brussel"),
            ("--time-zone", "did you mean Europe/Brussels?"),
            id="a zone that is none",
        ),
        pytest.param(
            ROW_NAMES.replace('"1",', "").replace('"2",', "").replace('"CO2"', '"CO_2 (ppm)"'),
            (),
            ("no column 'CO2'", "CO_2 (ppm)"),
            id="a column of another name",
        ),
    ],
)
def test_a_recording_that_would_be_misread_is_refused_before_anything_runs(
    resources: Path, text: str, more: tuple[str, ...], words: tuple[str, ...]
) -> None:
    (resources / "occupancy.csv").write_text(text)
    result = rehearse(resources, *MAPPED[: 6 if "--truth" in more else 8], *more)
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.output
