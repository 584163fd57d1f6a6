"""The process of a plug-in: builds its wall, takes its order from the keeper, and only then imports what it is to run.

The keeper starts it by this module, whatever the plug-in; what to call stands in the order, from the file that `omni plugin add`
wrote. It cannot open a connection of any kind: whoever wants something of it connects to it.
"""

import os
import sys
import threading
import traceback

LOADING = 60.0  # seconds for importing the plug-in, which may have a model to read


def main() -> None:
    """Run a helper with the order on fd 0; never returns."""
    from omni.core import confinement, memory
    from omni.core.process_kinds import load_target
    from omni.helpers.channel import HelperChannel, bound_prints
    from omni.keeper import adopt

    memory.share_heap()
    confinement.undumpable()
    # Before the first thread: Landlock holds who sets it and what that one starts, and foreign code reaches every thread.
    confinement.confine(connect=False)
    place = adopt.take()
    memory.hold(int(place.spec["need_bytes"]))
    bound_prints()
    sys.path.append(place.spec["path"])  # last: nothing in it can stand in for a module of ours
    late = threading.Timer(LOADING, place.failed, (f"It was not imported within {LOADING:g} s.",))
    late.daemon = True
    late.start()
    try:
        run = load_target(place.spec["settings"]["target"])
    except BaseException:  # noqa: BLE001 - foreign code may raise anything; the log has it
        place.failed(traceback.format_exc(limit=-3))
    late.cancel()
    channel = HelperChannel(place.socket, place.key)
    # A child that the plug-in forks may live on, and must not keep open what tells that this process has gone.
    os.register_at_fork(after_in_child=place.let_go)
    os.register_at_fork(after_in_child=channel.let_go)
    place.ready()
    try:
        run(channel)
        channel.finish()
    except BaseException as error:  # noqa: BLE001 - as above
        os.write(2, traceback.format_exc(limit=-5).encode())
        channel.broke(error)
        place.failed("It ended by what it raised.")
    place.failed("Its function returned.")


if __name__ == "__main__":
    main()
