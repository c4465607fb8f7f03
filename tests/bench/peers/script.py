"""What an engineer writes in an afternoon: one model, one rule, a row on disk before the command.

The peer that the agent is compared with: aiomqtt, ONNX Runtime in process, one SQLite insert with
`synchronous = FULL` a decision. It has no limits, no ages, no authority and no second replica; its
record says what was decided and not why. Nagle's algorithm is off, which doubles its speed.
"""

import asyncio
import json
import socket
import sqlite3
import sys
import time
import uuid

import aiomqtt
import numpy as np
import onnxruntime as ort

HOST, PORT, MODEL, DATABASE, TELEMETRY, COMMAND = sys.argv[1:]
NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS decisions (id TEXT PRIMARY KEY, time REAL, body TEXT)"
    )
    return connection


def session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])


async def main() -> None:
    connection, model = database(), session()
    async with aiomqtt.Client(HOST, int(PORT), socket_options=[NODELAY]) as client:
        await client.subscribe(TELEMETRY, qos=1)
        async for message in client.messages:
            sample = json.loads(bytes(message.payload))
            row = [sample["light"], sample["co2"], sample["temperature"]]
            features = np.array([row], dtype=np.float32)
            score = float(model.run(["probabilities"], {"features": features})[0][0][1])
            if score < 0.0:
                continue
            command = {"commandId": str(uuid.uuid4()), "value": sample["co2"], "score": score}
            body = json.dumps(command)
            connection.execute(
                "INSERT INTO decisions VALUES (?, ?, ?)", (command["commandId"], time.time(), body)
            )
            await client.publish(COMMAND, body, qos=1)


asyncio.run(main())
