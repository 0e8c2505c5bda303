"""What a solver is told by `-S name=value`, and a model by `-M name=value`: which models, and which settings."""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsd_graph.config import Config, load_config
from rsd_graph.errors import ConfigurationError
from rsd_graph.models.llamacpp import DRAFT_TOKENS
from rsd_graph.overrides import overrides
from rsd_graph.review import may_pause
from rsd_graph.settings import RSDSettings, with_fields

MODELS = ("draft", "target", "reward", "preset", "config")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A configuration, the settings of a run, and what is left for the strategy itself."""

    config: Config
    settings: RSDSettings
    own: Mapping[str, Any]


def read_options(
    given: Mapping[str, Any],
    make: Callable[..., Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    *,
    speculates: bool = False,
) -> Chosen:
    """Read options by name.

    Args:
        given: `draft`, `target`, `reward`, `preset` and `config` as on the command line of `rsd`; fields of
            `RSDSettings`; and what `make` takes.
        make: The strategy.
        defaults: Fields of the settings where neither `given` nor the configuration says anything.
        speculates: Whether a target in this process speculates with the draft's weights, even if nothing says so.

    Raises:
        ConfigurationError: a name is unknown, or a value out of range; the message names it.
    """
    own = {
        name
        for name, parameter in (inspect.signature(make).parameters if make else {}).items()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    known = {*MODELS, *own, *RSDSettings.model_fields}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f": {', '.join(sorted(known))}"
            raise ConfigurationError(f"there is no option {name!r}{hint}")
    text = {name: None if given.get(name) is None else str(given[name]) for name in MODELS}
    fields = {name: value for name, value in given.items() if name in RSDSettings.model_fields and name not in own}
    tables = overrides(text["draft"], text["target"], text["reward"], text["preset"], fields)
    file = Path(text["config"]) if text["config"] else None
    config = load_config(file, tables)
    if speculates and config.target.speculative is None and config.target_can_speculate:
        target = {**tables.get("target", {}), "speculative": DRAFT_TOKENS}
        config = load_config(file, {**tables, "target": target})
    said = config.settings.model_dump(exclude_unset=True)
    settings = with_fields(RSDSettings(), {**(defaults or {}), **said})
    if may_pause(settings):
        raise ConfigurationError("nobody is there to review steps of an evaluation: set `review` to off")
    return Chosen(config, settings, {name: value for name, value in given.items() if name in own})
