"""How fast a model runs on hardware that is not here: the roofline model (Williams et al. 2009), as pure functions.

A call takes the longer of two times: to move what it reads from memory, and to compute. Writing a token moves all
weights once for all problems that are solved at once, so that on a GPU reading a whole step costs a model about as much
as writing one token. Attention and its cache, the time between calls, and the network are left out: the contexts of
reasoning steps are short beside the weights.
"""

import re
from dataclasses import dataclass, replace
from typing import Protocol

from rsd_graph.costs import FLOPS_PER_PARAMETER
from rsd_graph.errors import ConfigurationError


class Speed(Protocol):
    """How long a model takes, while `batch` problems are solved at once."""

    def read(self, tokens: float) -> float:
        """Seconds to read these tokens of a prompt, which are not in its cache."""
        ...

    def write(self, tokens: float, candidates: int = 1) -> float:
        """Seconds to write these tokens, one after the other, in each of so many candidates at once."""
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


HARDWARE = {
    "h200": Hardware("NVIDIA H200 SXM", 4.8e12, 989e12),
    "h100": Hardware("NVIDIA H100 SXM", 3.35e12, 989e12),
    "a100": Hardware("NVIDIA A100 SXM, 80 GB", 2.04e12, 312e12),
    "l40s": Hardware("NVIDIA L40S", 0.864e12, 362e12),
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

    def read(self, tokens: float) -> float:
        """Prompts are read one after the other, so that each waits for those of all problems."""
        return self._seconds(tokens * self.batch) if tokens else 0.0

    def write(self, tokens: float, candidates: int = 1) -> float:
        """All problems write at once."""
        return tokens * self._seconds(self.batch * candidates)

    def _seconds(self, tokens: float) -> float:
        """Seconds of one pass over the weights that computes so many tokens."""
        moving = self.size * self.bytes_per_parameter / (self.on.bandwidth * self.on.moved)
        computing = FLOPS_PER_PARAMETER * self.size * tokens / (self.on.rate * self.on.computed)
        return max(moving, computing)
