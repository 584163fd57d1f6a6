"""Vectors of texts from a worker that was loaded for them, a piece at a time."""

import asyncio
from collections.abc import Sequence

from omni.core.errors import ContextOverflow, EngineError
from omni.engine._retrying import DEATHS, PAUSE_SECONDS, TRIES, Cause, culprit
from omni.engine._suspects import SuspectWork
from omni.engine._worker_access import WorkerAccess
from omni.engine.embeddings import pieces, readable, too_long, vectors_of
from omni.engine.http import WorkerClient, WorkerGone
from omni.engine.types import Embeddings


class Embedder:
    """Asks the worker of one brain for the vectors of texts, piece by piece."""

    def __init__(self, access: WorkerAccess) -> None:
        self._access = access
        self._settings = access.spec.settings

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        if not self._settings.get("embeddings"):
            raise EngineError(f"{self._access.name} was not loaded for embeddings.", hint="Choose an embedding model.")
        tokenizer = str(self._settings.get("tokenizer", ""))
        embeddings, tokens = dict[int, list[float]](), 0
        for piece in pieces(texts):
            vectors = await self._vectors([readable(texts[at], tokenizer) for at in piece])
            embeddings |= zip(piece, vectors, strict=True)
            tokens += vectors.tokens
        return Embeddings((embeddings[at] for at in range(len(texts))), tokens=tokens)

    async def _vectors(self, texts: list[str]) -> Embeddings:
        """A piece of what was asked. Its place is given back after it, so that nobody waits for a thousand texts."""
        tokens = int(self._settings.get("context", 0))  # one text at a time, however long
        key, alone, deaths = f"texts {id(texts)}", False, 0
        for last in (False,) * (TRIES - 1) + (True,):
            work = SuspectWork(self._access.suspects, key, alone=alone)
            async with work.trial:
                try:
                    async with self._access.keeper.turn(
                        self._access.spec, priority="background", tokens=tokens
                    ) as turn:
                        async for _ in self._access.events(turn.waiting()):
                            pass
                        await work.alone()
                        work.at(turn.socket)
                        vectors = vectors_of(
                            await WorkerClient(turn.socket, turn.key).json("/v1/embeddings", {"input": texts})
                        )
                    break
                except WorkerGone as error:
                    end = await self._access.why(error, work)
                    if end.cause is Cause.MEMORY and end.suspects == {key}:
                        raise culprit(end.cause, "fewer or shorter texts") from error
                    alone = key in end.suspects
                    deaths += error.asked and not end.late
                    if last or deaths == DEATHS:
                        raise
                except ContextOverflow as error:
                    raise too_long(error) from error
                finally:
                    work.over()
            await asyncio.sleep(PAUSE_SECONDS)
        if len(vectors) != len(texts):
            raise EngineError("The brain's process sent vectors of an unknown form.")
        return vectors
