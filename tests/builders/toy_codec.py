"""A dialect that no product has: `epoch action value` as text, answered with `yes` or `no`.

What it measures is `name=value;name=value`.
"""

from foreshore_agent.devices.codecs import formats, registry
from foreshore_agent.devices.codecs.leaf import PayloadError
from foreshore_agent.engine import effects
from foreshore_api.v1alpha1 import deviceprofile
from foreshore_api.wire import command as wire


def encode(command: effects.SendCommand) -> bytes:
    values = " ".join(str(value) for value in command.values.values())
    return f"{command.command_id} {command.epoch} {command.action} {values}".encode()


def advice(advised: effects.Advise) -> bytes:
    return f"try {advised.action}".encode()


def acknowledgement(body: bytes) -> wire.Acknowledgement | str:
    word, _, command_id = body.decode("ascii", errors="replace").partition(" ")
    results = {"yes": wire.Result.ACCEPTED, "no": wire.Result.REJECTED}
    if word not in results or not command_id:
        return "NotYesOrNo"
    return wire.Acknowledgement(command_id=command_id, result=results[word])


def speaks(profile: deviceprofile.DeviceProfileSpec) -> bool:
    return (profile.mqtt.command_topic or "").endswith("/toy")


ROW = registry.CommandCodec("Toy", speaks, encode, advice, acknowledgement)


def read(body: bytes) -> dict[str, float]:
    try:
        pairs = [pair.split("=") for pair in body.decode("ascii").split(";")]
        return {name: float(value) for name, value in pairs}
    except ValueError as error:
        raise PayloadError("NotToy") from error


def is_told_so(declared: deviceprofile.Property) -> bool:
    return (declared.topic or "").endswith("/toy")


FORMAT = formats.Format("Toy", is_told_so, read)
