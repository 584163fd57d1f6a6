"""Which processes live, who waits for which brain, what changed. Importing this package imports none of its modules."""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.keeper.client import KeeperClient, air_gap_alone, installing
    from omni.keeper.ending import anything_runs, stop_everything
    from omni.keeper.installer import begin_installing, name_installer
    from omni.keeper.places import air_gap, set_air_gap
    from omni.keeper.starter import Starter, start
    from omni.keeper.tickets import Lease, WorkerTurn
    from omni.keeper.values import (
        Door,
        Doors,
        DoorTicket,
        Fate,
        KeeperChange,
        Loading,
        Priority,
        ProcessInfo,
        Ready,
        Waiting,
        WorkerSpec,
    )
    from omni.keeper.wire import SANDBOX

__getattr__, __dir__ = lazy(
    __name__,
    client="KeeperClient air_gap_alone installing",
    ending="anything_runs stop_everything",
    installer="begin_installing name_installer",
    places="air_gap set_air_gap",
    starter="Starter start",
    tickets="Lease WorkerTurn",
    values="Door DoorTicket Doors Fate KeeperChange Loading Priority ProcessInfo Ready Waiting WorkerSpec",
    wire="SANDBOX",
)
