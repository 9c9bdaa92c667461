"""Help on the field at the cursor, next to the form."""

from __future__ import annotations

from rich.text import Text

from core.recipe import Recipe
from core.recipe_toml import differences
from cxr_tui.recipe.fields import RecipeField, shown_value, typed_value, unused_because
from cxr_tui.terminal.safe_text import visible

_LONG = 20


def field_help(field: RecipeField, recipe: Recipe, preset: Recipe, preset_name: str) -> Text:
    """Its key, what it does, what is allowed, and the preset's value."""
    text = Text()
    text.append(field.label, style="bold")
    if field.key != field.label:
        text.append(f"\n{field.key}", style="dim")
    text.append("\n\n")
    if field.help:
        text.append(f"{field.help}\n")
    if field.bounds:
        text.append(f"{field.bounds}\n")
    if field.choices:
        text.append(f"One of {', '.join(field.choices)}.\n")
    if reason := unused_because(recipe, field.key):
        text.append(f"· {visible(reason)}\n")
    here, there = typed_value(recipe, field.key), typed_value(preset, field.key)
    if len(here) > _LONG:
        text.append(f"\n{visible(here)}\n")
    if here != there:
        before = visible(shown_value(preset, field.key))
        text.append(f"\n• {visible(preset_name)} has {before}; delete restores it\n")
    return text


def change_list(recipe: Recipe, preset: Recipe, preset_name: str) -> Text:
    """Differences from the preset, one line per field; empty if there are none."""
    changed = differences(preset, recipe)
    text = Text()
    if not changed:
        return text
    text.append(f"changed from {visible(preset_name)}\n", style="bold")
    for key in changed:
        before, after = shown_value(preset, key), shown_value(recipe, key)
        text.append(f"• {key}  ")
        text.append(f"{visible(before)} → ", style="dim")
        text.append(f"{visible(after)}\n")
    return text
