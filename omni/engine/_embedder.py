"""Vectors and ranks of texts from a worker that was loaded for them, a piece at a time."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from omni.core.errors import ContextOverflow, EngineError
from omni.engine._retrying import DEATHS, PAUSE_SECONDS, TRIES, Cause, culprit
from omni.engine._suspects import SuspectWork
from omni.engine._worker_access import WorkerAccess
from omni.engine.embeddings import pieces, ranks, readable, relevances_of, too_long, vectors_of
from omni.engine.http import WorkerClient, WorkerGone
from omni.engine.types import Embeddings, Relevances

T = TypeVar("T", Embeddings, Relevances)


class Embedder:
    """Asks the worker of one brain for the vectors of texts, or for their ranks, piece by piece."""

    def __init__(self, access: WorkerAccess) -> None:
        self._access = access
        self._settings = access.spec.settings
        self._readable = partial(readable, tokenizer=str(self._settings.get("tokenizer", "")))

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector a text. Raises EngineError when the spec was made without embeddings."""
        if not self._settings.get("embeddings") or ranks(self._settings):
            raise EngineError(f"{self._access.name} was not loaded for embeddings.", hint="Choose an embedding model.")
        embeddings, tokens = dict[int, list[float]](), 0
        for piece in pieces(texts):
            asked = {"input": [self._readable(texts[at]) for at in piece]}
            vectors = await self._asked("/v1/embeddings", asked, vectors_of, len(piece))
            embeddings |= zip(piece, vectors, strict=True)
            tokens += vectors.tokens
        return Embeddings((embeddings[at] for at in range(len(texts))), tokens=tokens)

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """How well each text answers `query`. Raises EngineError when the spec was not made for a reranker."""
        if not ranks(self._settings):
            raise EngineError(f"{self._access.name} is no reranker.", hint="Choose one.")
        read = partial(relevances_of, logits=self._settings.get("scores") != "chance")
        scores, tokens = dict[int, float](), 0
        for piece in pieces(texts, beside=len(query)):
            asked = {"query": self._readable(query), "documents": [self._readable(texts[at]) for at in piece]}
            relevances = await self._asked("/v1/rerank", asked, read, len(piece))
            scores |= zip(piece, relevances, strict=True)
            tokens += relevances.tokens
        return Relevances((scores[at] for at in range(len(texts))), tokens=tokens)

    async def _asked(self, path: str, asked: dict[str, Any], read: Callable[[Any], T], count: int) -> T:
        """A piece of what was asked. Its place is given back after it, so that nobody waits for a thousand texts."""
        tokens = int(self._settings.get("context", 0))  # one text at a time, however long
        key, alone, deaths = f"texts {id(asked)}", False, 0
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
                        answer = read(await WorkerClient(turn.socket, turn.key).json(path, asked))
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
                    raise too_long(error, ranking=ranks(self._settings)) from error
                finally:
                    work.over()
            await asyncio.sleep(PAUSE_SECONDS)
        if len(answer) != count:
            raise EngineError(f"The brain's process sent {len(answer)} results for {count} texts.")
        return answer
