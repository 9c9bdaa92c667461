"""A line to type into, which takes keys in the order in which they were typed."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class LineInput(Input):
    """Textual's input inserts letters at once, and does what other keys ask for only later.

    Of a burst, as a slow line or a busy machine delivers it, Ctrl-U then deletes what was typed
    after it. Here each key is dealt with before the next.
    """

    async def _on_key(self, event: events.Key) -> None:
        if not event.is_printable:
            active = self.screen.active_bindings.get(event.key)
            if active is not None and active.node is self and active.enabled:
                event.stop()
                event.prevent_default()
                await self.run_action(active.binding.action)
                return
        await super()._on_key(event)
