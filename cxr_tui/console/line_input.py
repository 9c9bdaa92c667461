"""A text input that handles keys in the order in which they were typed."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class LineInput(Input):
    """Textual's input inserts letters immediately, but handles other keys later.

    In a burst of keys, as over a slow line, Ctrl-U would delete what was typed after it. Here each
    key is handled before the next.
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
