"""Settings that hold for one command only, from its options."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

GPU = "engine.gpu"
WISHES = ("auto", "on", "off")
_KEY = f"{__name__}.overrides"


def with_gpu(command: F) -> F:
    """Give a command that opens a brain the option `--gpu`; alone it means "on" (see `gpu_in_full`)."""
    option = click.option(
        "--gpu",
        type=click.Choice(WISHES),
        expose_value=False,
        callback=_remember,
        help=f"Whether an added engine computes on graphics processors, for this once; alone: on. Default: the setting {GPU}.",
    )
    return option(command)


def overrides() -> dict[str, Any]:
    """The settings that the command which runs was given, by their names."""
    context = click.get_current_context(silent=True)
    return dict(context.meta.get(_KEY, {})) if context is not None else {}


def gpu_in_full(words: list[str]) -> list[str]:
    """`--gpu` alone is `--gpu=on`, whatever comes after it."""
    full: list[str] = []
    for at, word in enumerate(words):
        if word == "--":
            return [*full, *words[at:]]
        full.append("--gpu=on" if word == "--gpu" and words[at + 1 : at + 2] not in [[one] for one in WISHES] else word)
    return full


def _remember(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.meta.setdefault(_KEY, {})[GPU] = value
