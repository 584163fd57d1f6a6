"""The panes: which there are, which is shown, and what becomes of one that fails."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.message_pump import MessagePump
from textual.widget import Widget

from omni.core.errors import OmniError
from omni.shell.failures import reason_of
from omni.shell.pane import Pane
from omni.shell.panes import PaneSpec
from omni.shell.rail import Rail
from omni.shell.status import StatusLine
from omni.shell.themed_app import ThemedApp

if TYPE_CHECKING:
    from omni.app import Services
    from omni.core.plugins import PluginOffer
    from omni.core.watchdog import Watchdog
    from omni.keeper import KeeperChange


class PaneHost(ThemedApp, inherit_bindings=False):
    """An app that shows one of its panes at a time, each made when it is first shown, with a rail and a status line."""

    def __init__(
        self,
        services: "Services",
        panes: Sequence[PaneSpec],
        *,
        begin: str,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__(services, environment=environment)
        self.panes = {pane.name: pane for pane in panes}
        self.rail = Rail(panes, begin if begin in self.panes else "home")
        self.status = StatusLine()
        self._focus: dict[str, Widget] = {}
        self._failed_panes: dict[str, Widget] = {}
        self.slash_offers: list[PluginOffer] = []
        self.watchdog: Watchdog | None = None  # of the panes of plug-ins

    def pane_turned(self) -> None:
        """Called when another pane is about to be shown."""

    async def _load_plugins(self) -> None:
        """Panes of plug-ins stand below ours, and their commands can be typed; one that fails is named and never stops the
        shell."""
        plugins = self.services.plugins

        offered = await asyncio.to_thread(plugins.gather, "omni_panes")
        self.slash_offers = await asyncio.to_thread(plugins.offers, "omni_slash_commands")
        if not offered and not plugins.failures:
            return
        from omni.shell.foreign import admitted

        panes, complaints = admitted(offered, self.panes)
        for complaint in [*plugins.failures.values(), *complaints]:
            self.notify(complaint, severity="warning", markup=False)
        self.panes |= {pane.name: pane for pane in panes}
        if panes:
            from omni.core.watchdog import Watchdog

            self.rail.add(panes)
            self.watchdog = Watchdog(pane.target.partition(":")[0].partition(".")[0] for pane in panes)

    def _make(self, spec: PaneSpec) -> Widget:
        try:
            pane = spec.make(self.services)
        except Exception as error:  # noqa: BLE001 - said where it would stand
            return self._failed_pane(spec, error)
        pane.id = f"pane-{spec.name}"
        return pane

    def explain(self, error: Exception, at: MessagePump | None = None) -> None:
        """As everywhere; but a pane that cannot be made is hidden, and the reason stands in its place. So is one of a
        plug-in that failed in what it does."""
        from omni.shell.foreign import at_fault, pane_of

        spec = pane_of(at, self.panes)
        broken = self.pane(spec.name) if spec is not None else None
        if broken is None or broken.is_mounted:  # it stands
            spec = None if isinstance(error, OmniError) else at_fault(error, self.panes)
        if spec is None:
            super().explain(error, at)
        else:
            self._replace(spec, error)

    def _cannot_draw(self, widget: Widget, error: Exception) -> None:
        from omni.shell.foreign import at_fault

        spec = at_fault(error, self.panes)
        if spec is None:
            super()._cannot_draw(widget, error)
        else:
            self._replace(spec, error)

    def _replace(self, spec: PaneSpec, error: Exception) -> None:
        if spec.name in self._failed_panes or (broken := self.pane(spec.name)) is None:
            self.known(error)
            return
        instead = self._failed_pane(spec, error)
        broken.display, instead.display = False, self.rail.active == spec.name
        stand_in = self._stand_in(instead, broken)
        self.run_worker(stand_in, name="failed pane", group="frame", description="say what failed")

    def _failed_pane(self, spec: PaneSpec, error: Exception) -> Widget:
        from omni.shell.foreign import FailedPane

        known = self.known(error)
        reason = known.message if known is error else reason_of(error)
        pane = self._failed_panes[spec.name] = FailedPane(self.services, spec, reason, known.hint)
        return pane

    async def _stand_in(self, instead: Widget, broken: Widget) -> None:
        await self.screen_stack[0].query_one("#panes").mount(instead)
        if instead.display:
            instead.focus()
        await broken.remove()

    def pane(self, name: str) -> Widget | None:
        """The pane of this name, when it was shown before; of one that failed, what stands in its place."""
        if name in self._failed_panes:
            return self._failed_panes[name]
        widgets = self.screen_stack[0].query(f"#pane-{name}") if self.screen_stack else ()
        return next(iter(widgets), None)

    def tell_panes(self, change: "KeeperChange") -> None:
        """Something changed, here or in another process."""
        for name in self.panes:
            if isinstance(pane := self.pane(name), Pane):
                self.attempt(pane.heard, change)

    async def show(self, name: str) -> Widget:
        """Show a pane; the first time it is imported in a thread and made."""
        spec = self.panes[name]
        if self.pane(name) is None:
            await self._load_pane(spec)
        if name != self.rail.active and (now := self.pane(self.rail.active)) is not None:
            if (focused := self.screen_stack[0].focused) is not None:
                self._focus[self.rail.active] = focused
            now.display = False
        self.rail.mark(name)
        self.pane_turned()
        pane = self.pane(name)
        if pane is None:
            pane = self._make(spec)
            await self.screen_stack[0].query_one("#panes").mount(pane)
            pane = self._failed_panes.get(name, pane)
        if self.rail.active == name:
            pane.display = True
            self._focus_pane()
        return pane

    async def _load_pane(self, spec: PaneSpec) -> None:
        """Import it in a thread. Raises OmniError for one of a plug-in; ours are expected to load."""
        try:
            await asyncio.to_thread(spec.load)
        except Exception as error:
            if not spec.letter:
                raise
            hint = "Update the plug-in that it belongs to, or uninstall it."
            raise OmniError(f"The pane {spec.title} does not load: {error}", hint=hint) from error

    def _focus_pane(self) -> None:
        name = self.rail.active
        target = self._focus.get(name)
        if target is not None and target.is_attached:
            target.focus()
        elif (pane := self.pane(name)) is not None:
            if isinstance(pane, Pane):
                pane.take_focus()
            elif first := next((node for node in pane.query("*") if isinstance(node, Widget) and node.focusable), None):
                first.focus()

    async def action_pane(self, name: str) -> None:
        """Show a pane by its key."""
        if name in self.panes and len(self.screen_stack) == 1:
            await self.show(name)

    async def on_rail_pane_chosen(self, message: Rail.PaneChosen) -> None:
        """Show the pane that was clicked."""
        await self.show(message.name)
