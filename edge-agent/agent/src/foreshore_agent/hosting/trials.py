"""A model's trial: `foreshore-serving try`, which leaves bytes and evidence, or says why not.

A process of its own fetches as an inference server does, and has the model loaded and run in the
limited child that an inference server would load it in. One trial at a time: each takes as much
memory as the agent itself, beside the agent, and two of the same bytes would write the same files.
So none waits for its source: it asks once, and whoever wants the model asks for another trial.
Called by `residents`.
"""

import asyncio
from pathlib import Path
from typing import Final

from foreshore_agent.hosting import children, store
from foreshore_api.reasons import serving as reasons
from foreshore_api.wire import serving

_OF_ITS_INPUTS: Final = (reasons.ServingReason.LOAD_TIMEOUT, reasons.ServingReason.LOAD_FAILED)


class TrialError(Exception):
    """There is no evidence, and why."""

    def __init__(self, trouble: children.ServingTrouble) -> None:
        super().__init__(f"{trouble.reason}: {trouble.message}")
        self.trouble: Final = trouble

    @property
    def is_lasting(self) -> bool:
        """Whether it lies in the bytes: a server would refuse them too.

        Time and memory are not of these: the seeded inputs may take what no real ones do.
        """
        return self.trouble.reason in reasons.LASTING - set(_OF_ITS_INPUTS)

    @property
    def is_unfetched(self) -> bool:
        """Whether there were no bytes to try; they are asked for again."""
        fetching = (reasons.ServingReason.FETCH_FAILED, reasons.ServingReason.SECRET_MISSING)
        return self.trouble.reason in fetching


class ModelTrials:
    """Tries models, one process each."""

    def __init__(self, kept: store.ModelStore, models: Path | None) -> None:
        """Prepare; `models` is a folder of artefacts that is asked by digest before a source."""
        self._kept: Final = kept
        self._models: Final = models
        self._turn: Final = asyncio.Lock()

    async def run(self, config: serving.ModelConfig) -> None:
        """Leave the bytes and the evidence of a model in the store. Raises TrialError, OSError."""
        body = self._kept.body_path(config.digest)
        config_file, ending_file = body.with_suffix(".config"), body.with_suffix(".ending")
        async with self._turn:
            try:
                await asyncio.to_thread(self._prepare, config, config_file, ending_file)
                code = await self._live(config_file, ending_file)
                if code != 0:
                    raise TrialError(await asyncio.to_thread(children.why_ended, code, ending_file))
            finally:
                await asyncio.to_thread(_remove, config_file, ending_file)

    def _prepare(self, config: serving.ModelConfig, config_file: Path, ending_file: Path) -> None:
        """Write what the process reads; of bytes that are kept and whole it needs no source."""
        self._kept.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._kept.body(config.digest, config.maximum_bytes) is not None:
            path = str(self._kept.body_path(config.digest))
            source = serving.Source(file=serving.FileSource(path=path))
            config = config.model_copy(update={"source": source})
        config_file.write_bytes(config.encode())
        ending_file.write_bytes(b"")

    async def _live(self, config_file: Path, ending_file: Path) -> int:
        command = children.command("try", config_file, ending_file, self._models)
        process = await asyncio.create_subprocess_exec(
            *command,
            *("--into", str(self._kept.folder), "--fetch-seconds", "0"),
            stdin=asyncio.subprocess.DEVNULL,
            env=children.environment(),
        )
        try:
            return await process.wait()
        finally:
            await children.stop(process)


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
