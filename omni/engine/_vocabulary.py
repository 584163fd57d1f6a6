"""What tokens a brain has, for requests that name some by their numbers: llama.cpp drops those that are none."""

from collections.abc import Sequence

from omni.core.errors import EngineError
from omni.engine.http import WorkerClient
from omni.engine.refusals import WrongField


async def check_bias(client: WorkerClient, bias: Sequence[tuple[int, float]]) -> None:
    """Raises WrongField for a number that is no token of the brain behind `client`."""
    if not bias:
        return
    answer = await client.json("/v1/models")
    try:
        size = int(answer["data"][0]["meta"]["n_vocab"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineError("The brain's process does not tell its vocabulary.") from error
    wrong = [number for number, _ in bias if not 0 <= number < size]
    if wrong:
        raise WrongField(
            f"`logit_bias` names the token {wrong[0]}; this brain's are 0 to {size - 1}.",
            hint="POST /tokenize tells the numbers.",
            param="logit_bias",
        )
