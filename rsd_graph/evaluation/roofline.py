"""How fast a model runs on hardware that is not here: the roofline model (Williams et al. 2009), as pure functions.

A pass takes the longer of two times: to move what it reads from memory, and to compute. Writing a token moves all
weights once for all problems that are solved at once, so that on a GPU reading a whole step costs a model about as much
as writing one token. A pass takes at least what the engine itself takes between passes, for which a small model on a
GPU waits, and a request a fixed time beside its passes. Attention and its cache are left out, because the contexts of
reasoning steps are short beside the weights, and so is the network.
"""

import re
from dataclasses import dataclass, replace
from typing import Protocol

from rsd_graph.costs import FLOPS_PER_PARAMETER
from rsd_graph.errors import ConfigurationError


class Speed(Protocol):
    """How long a model takes, while `batch` problems are solved at once."""

    @property
    def call(self) -> float:
        """Seconds of a request beside reading and writing."""
        ...

    def read(self, tokens: float) -> float:
        """Seconds to read these tokens of a prompt, which are not in its cache."""
        ...

    def write(self, tokens: float, candidates: int = 1, share: float = 1.0) -> float:
        """Seconds to write these tokens, one after the other, in each of so many candidates at once.

        `share` of the problems wait for this model, in (0, 1].
        """
        ...


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a machine can do at best, by its data sheet, and how much of it servers reach."""

    title: str
    bandwidth: float
    """Bytes of memory a second."""
    rate: float
    """Floating-point operations a second: 16 bits, dense."""
    moved: float = 0.7
    """The share of the bandwidth that writing reaches."""
    computed: float = 0.5
    """The share of the rate that reading reaches."""
    least: float = 0.0
    """Seconds of a pass, at least: what an engine does between passes, however small the model is."""
    call: float = 0.0
    """Seconds of a request beside its passes: HTTP, the engine's queue, tokens from text and text from tokens."""


SERVED = {"least": 0.0024, "call": 0.035}
"""What vLLM takes. Measured on one machine, with an H200 and 16 virtual cores (docs/benchmarks.md, "On a GPU")."""
HARDWARE = {
    "h200": Hardware("NVIDIA H200 SXM", 4.8e12, 989e12, **SERVED),
    "h100": Hardware("NVIDIA H100 SXM", 3.35e12, 989e12, **SERVED),
    "a100": Hardware("NVIDIA A100 SXM, 80 GB", 2.04e12, 312e12, **SERVED),
    "l40s": Hardware("NVIDIA L40S", 0.864e12, 362e12, **SERVED),
    "laptop": Hardware("laptop CPU, 8 cores with AVX2, two channels of DDR5-5600", 0.0896e12, 0.9e12),
}
"""By the makers' data sheets; the shares that are reached, and the laptop's rate (8 cores x 3.5 GHz x 32 operations a
cycle), are rules of thumb."""


def hardware(name: str) -> Hardware:
    """The hardware of this name; `4xh100` is four of it, with the weights shared out evenly and no time lost for that.

    Raises:
        ConfigurationError: there is none.
    """
    found = re.fullmatch(r"(?:(\d{1,6})x)?(\w+)", name.lower())
    if found is None or found[2] not in HARDWARE or found[1] == "0":
        raise ConfigurationError(
            f"there is no hardware {name!r}: choose this, {', '.join(HARDWARE)}, or such as 4xh100"
        )
    one, count = HARDWARE[found[2]], int(found[1] or 1)
    if count == 1:
        return one
    return replace(one, title=f"{count} x {one.title}", bandwidth=count * one.bandwidth, rate=count * one.rate)


def parameters(text: str) -> float:
    """The number of parameters that a size says: `7b`, `0.5b`, `350m`, or a plain number.

    Raises:
        ConfigurationError: it says none.
    """
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)([bm]?)", text.strip().lower())
    if found is None or not float(found[1]):
        raise ConfigurationError(f"{text!r} is no size of a model: expected such as 7b, 0.5b or 350m")
    return float(found[1]) * {"b": 1e9, "m": 1e6, "": 1.0}[found[2]]


@dataclass(frozen=True, slots=True)
class Roofline:
    """A model on some hardware. See `Speed`."""

    size: float
    """Parameters that take part in computing a token."""
    on: Hardware
    batch: int = 1
    """Problems that are solved at once."""
    bytes_per_parameter: float = 2.0

    @property
    def call(self) -> float:
        """As it is on this hardware, for any size."""
        return self.on.call

    def read(self, tokens: float) -> float:
        """Prompts are read one after the other, so that each waits for those of all problems."""
        return self._seconds(tokens * self.batch) if tokens else 0.0

    def write(self, tokens: float, candidates: int = 1, share: float = 1.0) -> float:
        """All problems that wait for it write at once."""
        return tokens * self._seconds(max(self.batch * share, 1) * candidates)

    def _seconds(self, tokens: float) -> float:
        """Seconds of one pass over the weights that computes so many tokens."""
        moving = self.size * self.bytes_per_parameter / (self.on.bandwidth * self.on.moved)
        computing = FLOPS_PER_PARAMETER * self.size * tokens / (self.on.rate * self.on.computed)
        return max(moving, computing, self.on.least)
