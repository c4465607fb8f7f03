"""Models with chance changes, put one after the other to what the child does, within its limits.

    python -m builders.mutated_models <first seed> <count>

It prints each seed before its model is tried, then the reasons by how often they were given: what
ends this process, or raises anything but a refusal, leaves its seed as the last word.
"""

import collections
import os
import random
import sys
from typing import Any

import onnx
from google.protobuf import descriptor, message  # type: ignore[import-untyped]

from builders import hostile_models, local_models, onnx_models
from foreshore_serving import limits, vet
from foreshore_serving.refusal import Refused

SECONDS = 120.0
MEMORY = 1 << 30
NUMBERS = (0, 1, 2, 3, -1, 7, 255, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 62) + 1)
TEXTS = ("", "features", "logits", "probabilities", "Softmax", "Loop", "If", "\0", "n" * 5000)
BASES = (
    onnx_models.model(),
    onnx_models.endless_on_request(),
    hostile_models.trees(),
    hostile_models.nested(3),
    hostile_models.sparse(3, 2),
    hostile_models.zipped(),
    hostile_models.of_operator(
        "Expand",
        "number",
        "lengths",
        constants=[hostile_models.number(), hostile_models.lengths(4)],
    ),
)


def mutated(seed: int) -> bytes:
    """Return a model with a few changes: of bytes, or of fields, which stay well-formed."""
    chance = random.Random(seed)
    body = chance.choice(BASES)
    if chance.random() < 0.3:
        return _of_bytes(bytearray(body), chance)
    proto = onnx.load_from_string(body)
    for _ in range(chance.choice((1, 1, 2, 3))):
        _change_field(proto, chance)
    return bytes(proto.SerializeToString())


def _of_bytes(body: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(len(body))
        match chance.randrange(3):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                del body[at : at + chance.randrange(1, 9)]
            case _:
                body[at:at] = chance.randbytes(chance.randrange(1, 9))
    return bytes(body)


def _change_field(proto: message.Message, chance: random.Random) -> None:
    """Walk down to some field, and change its value."""
    fields = proto.ListFields()
    if not fields:
        return
    field, value = chance.choice(fields)
    values = value if field.is_repeated else None
    if field.message_type is not None:
        below = chance.choice(values) if values else value
        if values is not None and chance.random() < 0.1:
            values.append(below) if chance.random() < 0.5 else values.remove(below)
        else:
            _change_field(below, chance)
    elif values is None:
        setattr(proto, field.name, _value(field, chance))
    elif chance.random() < 0.3:
        values.append(_value(field, chance))
    elif chance.random() < 0.3:
        values.pop()
    else:
        values[chance.randrange(len(values))] = _value(field, chance)


def _value(field: descriptor.FieldDescriptor, chance: random.Random) -> Any:
    """Return some value of a field's type."""
    if field.enum_type is not None:
        return chance.choice(list(field.enum_type.values_by_number))
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            text = chance.choice(TEXTS)
            return text.encode() if field.type == field.TYPE_BYTES else text
        case field.CPPTYPE_FLOAT | field.CPPTYPE_DOUBLE:
            return chance.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
        case field.CPPTYPE_INT32:
            return chance.choice([number for number in NUMBERS if -(1 << 31) <= number < 1 << 31])
        case field.CPPTYPE_UINT64:
            return chance.choice([number for number in NUMBERS if number >= 0])
    return chance.choice(NUMBERS)


def main(first: int, count: int) -> None:
    """Try models of so many seeds."""
    limits.confine(limits.bound(MEMORY, is_reserving=False), SECONDS)
    from foreshore_serving import session

    reasons: collections.Counter[str] = collections.Counter()
    for seed in range(first, first + count):
        os.write(sys.stdout.fileno(), f"{seed}\n".encode())
        body = mutated(seed)
        contract = local_models.contract(body, onnx_models.config(body))
        try:
            vet.check(body)
            session.warm_up(session.load(body, contract), contract)
        except Refused as refused:
            reasons[str(refused.reason)] += 1
        except MemoryError:
            reasons["MemoryError"] += 1
        else:
            reasons["served"] += 1
    print(dict(reasons))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
