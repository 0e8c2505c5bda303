"""The settings of a run as a form: fields, bounds and descriptions come from `RSDSettings` itself."""

from collections.abc import Callable
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.value_element import ValueElement

from rsd_graph.settings import RSDSettings

FIRST = ("threshold", "weighting", "max_steps", "max_tokens", "temperature", "seed", "tools", "review")
"""What most people change; the others are behind "more"."""
LONG = ("system_prompt",)


def settings_form(defaults: RSDSettings, shown: RSDSettings) -> Callable[[], dict[str, Any]]:
    """Draw the form with the values of `shown`. Returns what reads the fields that differ from the defaults."""
    schema: dict[str, Any] = RSDSettings.model_json_schema()["properties"]
    inputs: dict[str, ValueElement[Any]] = {}
    with ui.element("div").classes("fields"):
        for name in FIRST:
            inputs[name] = _field(name, schema[name], getattr(shown, name))
    with ui.expansion("More settings").classes("more"), ui.element("div").classes("fields"):
        for name in (name for name in schema if name not in FIRST):
            inputs[name] = _field(name, schema[name], getattr(shown, name))
    return lambda: {
        name: read for name, field in inputs.items() if (read := _read(field, schema[name])) != getattr(defaults, name)
    }


def _field(name: str, schema: dict[str, Any], value: Any) -> ValueElement[Any]:
    label = name.replace("_", " ")
    kinds = {each.get("type"): each for each in (schema, *schema.get("anyOf", ()))}
    number = kinds.get("number") or kinds.get("integer")
    field: Any
    if "enum" in schema:
        field = ui.select(schema["enum"], label=label, value=value)
    elif schema.get("type") == "boolean":
        field = ui.switch(label, value=value)
    elif number:
        low, high = (number.get(key) for key in ("minimum", "maximum"))
        whole = number["type"] == "integer"
        field = ui.number(label, value=value, min=low, max=high, step=1 if whole else 0.05)
    elif name in LONG:
        field = ui.textarea(label, value=value).classes("wide").props("autogrow")
    else:
        field = ui.input(label, value=_shown(value))
    return _finished(field, schema)


def _finished(field: Any, schema: dict[str, Any]) -> ValueElement[Any]:
    element: Element = field
    element.props("dense")
    with element:
        ui.tooltip(schema.get("description", "")).classes("explained")
    checked: ValueElement[Any] = field
    return checked


def _shown(text: str) -> str:
    r"""A text of one line: a line feed as `\\n`."""
    return text.replace("\n", "\\n")


def _read(field: ValueElement[Any], schema: dict[str, Any]) -> Any:
    value = field.value
    if isinstance(field, ui.input) and isinstance(value, str):
        return value.replace("\\n", "\n")
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
