"""Keys done at once and in order.

Textual lets a key rise to the app, which comes back with an action; keys that were typed right after it have reached
the widget by then. Terminals, tmux and ssh send keys in bunches, so what writes or acts on single letters handles its
own keys itself, and passes on those that came while it was losing the keyboard.
"""

from textual.events import Key
from textual.widget import Widget


async def done_at_once(widget: Widget, event: Key) -> bool:
    """Whether `event` was for another widget, or was a key of `widget` itself: then its action has run."""
    focused = widget.app.focused
    if focused is not None and focused is not widget:
        focused._forward_event(event.copy())
    else:
        active = widget.screen.active_bindings.get(event.key)
        if active is None or active.node is not widget or not active.enabled:
            return False
        await widget.run_action(active.binding.action)
    event.stop()
    event.prevent_default()
    return True
