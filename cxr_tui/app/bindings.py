"""All key bindings of the console, and which of them are active together."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Input

from cxr_tui.app.app import ConsoleApp

Node = type[DOMNode]

_ROOMS = (
    *("sessions", "data", "recipe", "training", "results", "cams"),
    *("app", "console", "widgets"),
)
"""The packages whose screens and widgets bind keys."""

SHOWN_AS = {
    "run.start": "recipe.start",
    "run.pause": "training.pause",
    "run.stop": "training.stop",
}
"""Global binding -> the binding shown in a screen's footer; both get the user's keys."""


def console_nodes() -> list[Node]:
    """Our app, screens and widgets that bind keys."""
    nodes: dict[Node, None] = {ConsoleApp: None}
    for name in _ROOMS:
        package = importlib.import_module(f"cxr_tui.{name}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
            nodes |= dict.fromkeys(_nodes_in(module.name))
    return list(nodes)


def own_bindings(node: Node) -> list[Binding]:
    """The bindings that the class itself declares, one per key."""
    return list(Binding.make_bindings(vars(node).get("BINDINGS", ())))


def known_bindings() -> dict[str, Binding]:
    """Id -> binding, for all bindings whose keys can be changed."""
    return {
        binding.id: binding
        for node in console_nodes()
        for binding in own_bindings(node)
        if binding.id
    }


def clash_of(name: str, keymap: Mapping[str, str]) -> str:
    """What a binding's new keys already do in its context; '' if there is no clash."""
    for place in _places():
        as_shipped = _reached(place, {})
        for key, bindings in _reached(place, keymap).items():
            ids = {binding.id for binding in bindings}
            if name not in ids or name in {binding.id for binding in as_shipped.get(key, ())}:
                continue  # not here, or one of its default keys
            for other in bindings:
                if other.id is None or other.id not in (name, SHOWN_AS.get(name)):
                    what = other.description or other.action
                    return f"{name!r}: {key!r} is already {what!r}" + (
                        f" ({other.id})" if other.id else ""
                    )
    return ""


def _places() -> Iterator[list[Node]]:
    """Each screen with its widgets and, except for dialogs, the app."""
    for node in console_nodes():
        if issubclass(node, Screen):
            on_it = list(dict.fromkeys(_widgets_of(node.__module__, set())))
            yield [*on_it, node] if issubclass(node, ModalScreen) else [*on_it, node, ConsoleApp]


def _reached(place: list[Node], keymap: Mapping[str, str]) -> dict[str, list[Binding]]:
    """Key -> its bindings on the screen's parts, a part's own before those of its parents."""
    reached: dict[str, list[Binding]] = {}
    for node in place:
        taken: set[str] = set()
        for parent in node.__mro__:
            # Our bindings replace App's; those that edit a field only act in the field.
            if parent in (App, Input) or not issubclass(parent, DOMNode):
                continue
            of_parent = [
                given for binding in own_bindings(parent) for given in _with_keys(binding, keymap)
            ]
            for binding in of_parent:
                if binding.key not in taken and binding not in reached.get(binding.key, ()):
                    reached.setdefault(binding.key, []).append(binding)
            taken |= {binding.key for binding in of_parent}
    return reached


def _with_keys(binding: Binding, keymap: Mapping[str, str]) -> list[Binding]:
    keys = keymap.get(binding.id or "")
    return [binding] if keys is None else [binding.with_key(key) for key in keys.split(",")]


def _widgets_of(module: str, seen: set[str]) -> Iterator[Node]:
    """The widgets that a screen's module imports, recursively."""
    if module in seen:
        return
    seen.add(module)
    for node in _nodes_named_in(module):
        if not issubclass(node, (Screen, App)):
            yield node
            yield from _widgets_of(node.__module__, seen)


def _nodes_in(module: str) -> list[Node]:
    return [node for node in _nodes_named_in(module) if node.__module__ == module]


def _nodes_named_in(module: str) -> list[Node]:
    return [
        value
        for value in vars(sys.modules[module]).values()
        if isinstance(value, type)
        and issubclass(value, DOMNode)
        and value.__module__.startswith("cxr_tui.")
    ]
