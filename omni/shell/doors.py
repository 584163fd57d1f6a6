"""What the shell knows of the doors, and how it shuts them; the keeper's other news go to the panes."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from omni.core.errors import NetworkBlocked

if TYPE_CHECKING:
    from omni.keeper import Doors, KeeperClient
    from omni.shell.modals import Consent
    from omni.shell.pane_host import PaneHost
    from omni.shell.pulls import ShellPulls

AGAIN_SECONDS = 2.0


class DoorWatch:
    """Listens to the keeper as long as the shell runs; `state` is what was verified last, None while nobody knows.

    `pulls` has the downloads, None before the first one.
    """

    def __init__(self, app: "PaneHost", pulls: "Callable[[], ShellPulls | None]") -> None:
        self._app, self._pulls = app, pulls
        self._keeper: KeeperClient | None = None
        self._question: Consent | None = None
        self.state: Doors | None = None

    async def attend(self) -> None:
        """Follow the keeper. One that died is started again; what is wrong with it is said once."""
        app, told = self._app, False
        while True:
            try:
                self._keeper = keeper = await app.services.keeper()
                self._are(await keeper.doors())
                told = False
                async for change in keeper.changes():
                    if change.topic == "doors":
                        self._are(await keeper.doors())
                    else:
                        app.tell_panes(change)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody knows the doors now
                self._lost()
                if not told:
                    app.explain(error)
                told = True
            await asyncio.sleep(AGAIN_SECONDS)

    def _lost(self) -> None:
        self._keeper, self.state = None, None
        self._app.status.show(doors="unknown")

    def _are(self, doors: "Doors") -> None:
        from omni.keeper import KeeperChange

        self.state = doors
        self.draw()
        self._app.tell_panes(KeeperChange(topic="doors"))

    def draw(self) -> None:
        """Say it in the status line. Between two parts of a download its door counts as open: it has leave to be."""
        doors, pulls = self.state, self._pulls()
        if doors is None:
            return
        pulling = not doors.air_gap and any(one.kind == "pull" for one in (pulls.running if pulls else ()))
        outward = [one for one in doors.open if one.outward]
        door = f"{outward[0].purpose} {outward[0].host}".strip() if outward else "pull" if pulling else ""
        state = "open" if door else "not enforced" if not doors.verified else "air gap" if doors.air_gap else "shut"
        if state == "shut" and doors.open:
            state, door = "listening", doors.open[0].host
        self._app.status.show(doors=state, door=door)

    def turn(self) -> None:
        """F12: shut every door now; when they are shut, ask before they may open again."""
        if self.state is not None and self.state.air_gap:
            self._ask_to_reopen()
        else:
            self._begin(on=True)

    def _begin(self, *, on: bool) -> None:
        what = "shut every door" if on else "lift the air gap"
        self._app.run_worker(self._set(on=on), name="air gap", group="doors", description=what)

    def _ask_to_reopen(self) -> None:
        from omni.shell.modals import Consent

        if self._question is not None and self._question in self._app.screen_stack:
            return
        question = self._question = Consent(
            "Open the doors again?",
            "Omni may then use the network when you pull or install.\nNothing opens by itself.",
            yes="open",
            clock=self._app.services.clock,
        )

        def answered(yes: bool | None) -> None:
            if yes:
                self._begin(on=False)

        self._app.clear_notifications()  # the one about the doors lies where the question's keys are
        self._app.push_screen(question, answered)

    async def _set(self, *, on: bool) -> None:
        app = self._app
        try:
            keeper = self._keeper or await app.services.keeper()
            self._are(await keeper.air_gap(on))
        except Exception:
            self._lost()
            raise
        if not on and (pulls := self._pulls()) is not None:
            # What the shut doors refused would go on saying so, and its F12 would shut them again.
            for name in [name for name, pulling in pulls.all.items() if isinstance(pulling.error, NetworkBlocked)]:
                pulls.forget(name)
        if on:
            app.notify("Every door is shut, also after a restart. F12 opens them again.", markup=False, timeout=4)
