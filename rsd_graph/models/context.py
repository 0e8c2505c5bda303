"""Whether a prompt fits a model's context."""

from rsd_graph.errors import ContextOverflowError


def require_room(name: str, prompt: int, context: int | None, *, answer: int) -> None:
    """Refuse a prompt that leaves no room for an answer.

    Args:
        name: The model's name.
        prompt: Tokens in the prompt.
        context: Tokens that prompt and answer may have together; None if unknown.
        answer: Tokens that must fit after the prompt; 0 for a model that only reads.

    Raises:
        ContextOverflowError: it does not fit.
    """
    if context is not None and prompt + answer > context:
        raise ContextOverflowError(f"the prompt has {prompt} tokens, and the context of {name} is {context}")
