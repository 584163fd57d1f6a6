"""Which processes live, who waits for which brain, what changed. Importing this package imports none of its modules."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.keeper.client import KeeperClient as KeeperClient
    from omni.keeper.client import air_gap_alone as air_gap_alone
    from omni.keeper.client import installing as installing
    from omni.keeper.ending import anything_runs as anything_runs
    from omni.keeper.ending import stop_everything as stop_everything
    from omni.keeper.installer import begin_installing as begin_installing
    from omni.keeper.installer import name_installer as name_installer
    from omni.keeper.places import air_gap as air_gap
    from omni.keeper.places import set_air_gap as set_air_gap
    from omni.keeper.starter import Starter as Starter
    from omni.keeper.starter import start as start
    from omni.keeper.tickets import Lease as Lease
    from omni.keeper.tickets import WorkerTurn as WorkerTurn
    from omni.keeper.values import Door as Door
    from omni.keeper.values import Doors as Doors
    from omni.keeper.values import DoorTicket as DoorTicket
    from omni.keeper.values import Fate as Fate
    from omni.keeper.values import KeeperChange as KeeperChange
    from omni.keeper.values import Loading as Loading
    from omni.keeper.values import Priority as Priority
    from omni.keeper.values import ProcessInfo as ProcessInfo
    from omni.keeper.values import Ready as Ready
    from omni.keeper.values import Waiting as Waiting
    from omni.keeper.values import WorkerSpec as WorkerSpec

_NAMES = {
    "KeeperClient": "client",
    "Lease": "tickets",
    "WorkerTurn": "tickets",
    "air_gap": "places",
    "air_gap_alone": "client",
    "begin_installing": "installer",
    "anything_runs": "ending",
    "installing": "client",
    "name_installer": "installer",
    "set_air_gap": "places",
    "Starter": "starter",
    "start": "starter",
    "stop_everything": "ending",
    "KeeperChange": "values",
    "Door": "values",
    "DoorTicket": "values",
    "Doors": "values",
    "Fate": "values",
    "Loading": "values",
    "Priority": "values",
    "ProcessInfo": "values",
    "Ready": "values",
    "Waiting": "values",
    "WorkerSpec": "values",
}

__all__ = list(_NAMES)


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
