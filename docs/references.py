"""Writes the generated parts of the pages: settings, command line, and the presets in serving.

    python docs/references.py            # rewrite them
    python docs/references.py --check    # fail if they are stale

The settings come from the pydantic models that read `rsd.toml`, the command line from the Typer app. Each part stands
between two comments, `<!-- generated: NAME -->` and `<!-- /generated -->`; the text around them is written by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import typer.models
from pydantic import BaseModel

from rsd_graph.cli import app
from rsd_graph.config import Config, DraftConfig, LatencyConfig, ModelConfig, RewardConfig, ServeConfig, TargetConfig
from rsd_graph.presets import PRESETS
from rsd_graph.settings import RSDSettings

DOCS = Path(__file__).parent
PART = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)

NAMES = {"string": "string", "number": "number", "integer": "integer", "boolean": "boolean", "object": "table"}
BOUNDS = {"minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "minLength": "not empty"}
BOUNDS |= {"exclusiveMaximum": "below {}", "minItems": "not empty"}
VALUES: dict[type, str] = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}


def rendered(page: str) -> str:
    """The page with every generated part written anew."""
    return PART.sub(lambda part: f"{part[1]}\n{GENERATED[part[2]]()}\n\n{part[3]}", page)


def fields(model: type[BaseModel], leave_out: Iterable[str] = ()) -> str:
    """A table of the model's fields, one row each."""
    schema = model.model_json_schema()
    rows = [
        [f"`{name}`", _type(field, schema), _default(field), _described(model, name, field)]
        for name, field in schema["properties"].items()
        if name not in set(leave_out)
    ]
    return table(["key", "value", "default", "meaning"], rows)


def presets() -> str:
    """A table of the presets."""
    rows = [
        [f"`{name}`", *(f"`{tables[role]['model']}`" for role in ("draft", "target", "reward"))]
        for name, tables in PRESETS.items()
    ]
    return table(["preset", "draft", "target", "reward"], rows)


def commands() -> str:
    """A section for each command of `rsd`."""
    return "\n\n".join(_command(command) for command in app.registered_commands)


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _described(model: type[BaseModel], name: str, field: dict[str, Any]) -> str:
    text = " ".join(field.get("description", "").split())
    if not text:
        raise SystemExit(f"{model.__name__}.{name} has no description: give it `Field(description=...)`")
    return text


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type and the bounds, in words."""
    if "anyOf" in field:
        (field,) = (each for each in field["anyOf"] if each.get("type") != "null")
    if "$ref" in field:
        field = schema["$defs"][field["$ref"].rsplit("/", 1)[1]]
        return f"table of {', '.join(f'`{name}`' for name in field['properties'])}"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'], schema)}s"
    name = "path" if field.get("format") == "path" else NAMES[field["type"]]
    return ", ".join([name, *(text.format(field[bound]) for bound, text in BOUNDS.items() if bound in field)])


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    return "" if value is None else f"`{json.dumps(value)}`"


def _command(command: typer.models.CommandInfo) -> str:
    function: Callable[..., Any] = command.callback or (lambda: None)
    name = command.name or function.__name__.replace("_", "-")
    hints = get_type_hints(function, include_extras=True)
    arguments, options = [], []
    usage = ["rsd", name, "[OPTIONS]"]
    for parameter in signature(function).parameters.values():
        kind, info = get_args(hints[parameter.name])
        row = [_value(kind, info), _shown_default(parameter, info), " ".join((info.help or "").split())]
        if isinstance(info, typer.models.ArgumentInfo):
            arguments.append([f"`{parameter.name.upper()}`", row[1], row[2]])
            required = parameter.default is Parameter.empty
            usage.append(parameter.name.upper() if required else f"[{parameter.name.upper()}]")
        else:
            options.append([", ".join(f"`{each}`" for each in _names(parameter.name, info)), *row])
    parts = [f"## rsd {name}", f"```text\n{' '.join(usage)}\n```", cleandoc(function.__doc__ or "")]
    if arguments:
        parts.append(table(["argument", "default", "meaning"], arguments))
    return "\n\n".join([*parts, table(["option", "value", "default", "meaning"], options)])


def _names(name: str, info: Any) -> list[str]:
    """An option's names; Typer puts the first that is given in the place of the default."""
    given = [each for each in (info.default, *(info.param_decls or ())) if str(each).startswith("-")]
    return given or [f"--{name.replace('_', '-')}"]


def _value(kind: Any, info: Any) -> str:
    """What an option takes, in words; empty for a switch."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not type(None))
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    bounds = [f"at least {info.min}"] if info.min is not None else []
    bounds += [f"at most {info.max}"] if info.max is not None else []
    return ", ".join([VALUES[kind], *bounds]) if kind in VALUES else ""


def _shown_default(parameter: Parameter, info: Any) -> str:
    if isinstance(info.show_default, str):
        return info.show_default
    if parameter.default is Parameter.empty:
        return "required"
    return "" if parameter.default is None or parameter.default is False else f"`{parameter.default}`"


GENERATED: dict[str, Callable[[], str]] = {
    "settings": lambda: fields(RSDSettings),
    "top": lambda: fields(Config, {"draft", "target", "reward", "latency", "serve", "settings"}),
    "model": lambda: fields(ModelConfig),
    "reward": lambda: fields(RewardConfig, ModelConfig.model_fields),
    "draft": lambda: fields(DraftConfig, ModelConfig.model_fields),
    "target": lambda: fields(TargetConfig, ModelConfig.model_fields),
    "latency": lambda: fields(LatencyConfig),
    "serve": lambda: fields(ServeConfig),
    "presets": presets,
    "commands": commands,
}


def main() -> None:
    """Rewrite the pages, or name those that are stale."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documentation.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")
    check = parser.parse_args().check
    stale = []
    for file in sorted(DOCS.rglob("*.md")):
        page = file.read_text()
        if page != (fresh := rendered(page)):
            stale.append(file.name)
            if not check:
                file.write_text(fresh)
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; run `make references`")


if __name__ == "__main__":
    main()
