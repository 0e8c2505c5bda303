import pytest
from pydantic import ValidationError

from rsd_graph.training.options import Hyperparameters, Options


@pytest.mark.parametrize(
    ("options", "depth", "first", "last"),
    [
        (Options(), 24, 10, 14),  # the embedded draft
        (Options(family="probe"), 24, 14, 14),
        (Options(changed=99), 24, 1, 14),  # the first layer stays frozen
        (Options(layers=1.0), 24, 20, 24),
        (Options(layers=0.01), 24, 1, 1),  # nothing is left to change
    ],
)
def test_layers_are_chosen_by_share(options: Options, depth: int, first: int, last: int) -> None:
    """`lora` changes the last of those that are kept, `probe` none."""
    chosen = options.hyperparameters(depth)
    assert (chosen.first, chosen.last) == (first, last)


def test_options_reach_training_and_sampling() -> None:
    """Rank, epochs and seed the one; temperature, limit and seed the other."""
    options = Options(rank=2, epochs=5, seed=7, temperature=0.5, max_tokens=99)
    assert options.hyperparameters(10) == Hyperparameters(first=2, last=6, rank=2, epochs=5, seed=7)
    settings = options.settings()
    assert (settings.temperature, settings.max_tokens, settings.seed) == (0.5, 99, 7)


def test_an_option_out_of_range_is_refused() -> None:
    """And one that does not exist."""
    with pytest.raises(ValidationError, match="layers"):
        Options(layers=0)
    with pytest.raises(ValidationError, match="depth"):
        Options.model_validate({"depth": 3})
