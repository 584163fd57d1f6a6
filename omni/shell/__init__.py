"""The terminal shell: a Textual front end that renders what the domains say."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.shell.panes import PaneSpec

__all__ = ["PaneSpec"]

_HOMES = {"PaneSpec": "panes"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    attribute: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return attribute
