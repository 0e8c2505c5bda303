from hypothesis import given
from hypothesis import strategies as st

from rsd_graph import Step
from rsd_graph.state import join_steps, prefix

texts = st.lists(st.text(alphabet="ab \\n", min_size=1), max_size=6)


@given(texts)
def test_the_response_is_the_joined_steps(parts: list[str]) -> None:
    """Kept steps are joined by the delimiter, without a trailing one, whatever white space they hold."""
    steps = [Step(text, "draft") for text in parts]
    assert join_steps(steps, "\n\n") == "\n\n".join(parts)
    assert prefix(steps, "\n\n") == "".join(part + "\n\n" for part in parts)


def test_a_step_cut_by_a_token_limit_is_continued() -> None:
    """No delimiter comes behind a cut step; the next one goes on where it stopped."""
    steps = [Step("one", "draft"), Step("tw", "draft", finish="length"), Step("o", "target", finish="eos")]
    assert prefix(steps[:2], "\n\n") == "one\n\ntw"
    assert join_steps(steps[:2], "\n\n") == "one\n\ntw"
    assert join_steps(steps, "\n\n") == "one\n\ntwo"
