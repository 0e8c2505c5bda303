import pytest

from rsd_graph.errors import ContextOverflowError
from rsd_graph.models.context import require_room


@pytest.mark.parametrize(("prompt", "context", "answer"), [(7, 8, 1), (8, 8, 0), (0, 0, 0), (10**9, None, 1)])
def test_a_prompt_that_fits_passes(prompt: int, context: int | None, answer: int) -> None:
    """Up to the last token; anything fits a context that nobody knows."""
    require_room("model", prompt, context, answer=answer)


@pytest.mark.parametrize(("prompt", "answer"), [(8, 1), (9, 0)])
def test_a_prompt_without_room_is_refused(prompt: int, answer: int) -> None:
    """The message has the model's name and both numbers."""
    with pytest.raises(ContextOverflowError, match=f"has {prompt} tokens, and the context of model is 8"):
        require_room("model", prompt, 8, answer=answer)
