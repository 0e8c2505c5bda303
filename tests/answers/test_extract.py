import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsd_graph.answers import extract_answer
from rsd_graph.answers.boxes import _is_placeholder


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"so \boxed{18}", "18"),
        (r"first \boxed{1}, then \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"a set \boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{7} and an unfinished \boxed{8", "7"),
        (r"a box within a box: \boxed{a \boxed{b} c}", "b"),
        (r"spelled \fboxed {9}, and a stray } after it", "9"),
        (r"\framebox[2cm]{9}, so 3 of 12 are left", "9"),
        (r"$x$ is \boxed{2}, \boxed{4}, or \boxed{6}.", "2, 4, 6"),
        (r"$\boxed{2}$ and $\boxed{4}$", "2, 4"),
        (r"x = \boxed{2} or x = \boxed{4}", "2, 4"),
        (r"\boxed{2}. No: \boxed{4}.", "4"),
        (r"\boxed{2}, as asked within \boxed{} or \boxed{...}", "2"),
        (r"an empty \boxed{} leaves the phrase: the answer is 6.", "6"),
        ("The final answer is $5$.", "5"),
        ("The answer is not 5. It is 6.", "6"),
        ("**Answer:** 12 apples", "12 apples"),
        ("The answer is **5**.", "5"),
        ("**Final Answer:** **5**", "5"),
        ("The answer is: **$5$**.", "5"),
        ("The final answer is:\n\\[ 7 \\]", "7"),
        ("The answer is 4.\nNo: the answer is 5.", "5"),
        ("work work\n#### 1,200", "1,200"),
        ("the answer is 3\n#### 4", "4"),
        ("#### Solution\nHe keeps 9 pens.", "9"),
        ("#### Step 2: halve it\nThat leaves 6.", "6"),
        ("#### Final answer: 6", "6"),
        ("The final answer is:\n\\[\n\\frac{2}{7}\n\\]", r"\frac{2}{7}"),
        ("The answer is\n\n$$x^2$$", "x^2"),
        ("**Final Answer**\n\n11", "11"),
        ("He owes 25 euros. The answer is 25 euros. This answer is plausible.", "25"),
        ("The answer is not 5. The answer is 6, because 5 + 1 = 6.", "6"),
        ("The answer is −4.", "-4"),
        ("The answer is yes.", "yes"),
        ("So 18 is the answer; it took 3 steps.", "18"),
        ("The correct option is (C).", "(C)"),
        ("Option B is correct.", "B"),
        ("Here \\boxed{\\Delta E > 0}, hence\n\n**Answer: D**", "D"),
        ("<answer> 12 </answer>", "12"),
        (r"<answer>The answer is \boxed{12}.</answer>", "12"),
        ("the area is −8", "-8"),
        ("the odds are .25", "0.25"),
        ("it is -.5", "-0.5"),
        ("The answers are $3$ and $5$.", "$3$ and $5$"),
        ("The answer to 3 + 4 is 7, but check it.", "7"),
        ("It takes 2 1/2 cups.", "2 1/2"),
        ("It starts at 2:45 pm.", "2:45"),
        (r"a speed of 3 \times 10^8 m/s", r"3 \times 10^8"),
        ("$9{,}500 in total", "9{,}500"),
        (r"so the ratio is $\frac{3}{4}$.", r"\frac{3}{4}"),
        (r"it follows that $x = 5$", "5"),
        ("one costs $5 and one $6", "6"),
        ("She has 3 boxes of 4, so 12.", "12"),
        ("-3.5 degrees", "-3.5"),
        ("between 1,234,567 and 7/8", "7/8"),
        (r"\boxed{}", None),
        ("the answer is **", None),
        ("no number at all", None),
        ("", None),
    ],
)
def test_the_final_answer_is_found(response: str, answer: str | None) -> None:
    """The last complete box wins; then the usual phrases; then the last number."""
    assert extract_answer(response) == answer


def test_extraction_of_hostile_text_ends() -> None:
    """A million braces and a hundred thousand open boxes are read once; a scan for each would take days."""
    assert extract_answer("\\boxed{" * 100_000) is None
    assert extract_answer("{" * 1_000_000 + "\\boxed{3}") == "3"
    assert extract_answer("answer:" + "\n" * 1_000_000) is None
    assert extract_answer("answer" + " *" * 1_000_000) is None
    assert extract_answer("the answer is " + "$" * 100_000) is None
    assert extract_answer("<think>" * 100_000) is None
    assert extract_answer("<answer>" * 100_000 + "7") == "7"
    assert extract_answer(r"\boxed{1}, " * 100_000) == "1"
    assert extract_answer("111," * 100_000 + "1111") == "1"
    assert extract_answer("the answer to " * 20_000) is None


@given(st.text(alphabet="abc 12+-=^_,.()$"), st.text(alphabet="abc {}$\n12"))
def test_a_box_is_found_whatever_comes_before_it(content: str, before: str) -> None:
    """Text before the box, open braces included, changes neither which box is found nor its content."""
    expected = content.strip()
    if expected and not _is_placeholder(expected):  # "...", "_" and the like stand for any answer
        assert extract_answer(f"{before}\\boxed{{{content}}}") == expected


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (r"<think>\boxed{3}</think>\boxed{4}", "4"),
        (r"<think>\boxed{3}</think>The answer is 4.<think>\boxed{5}</think>", "4"),
        (r"<think>a<think>\boxed{1}</think>\boxed{2}</think>The answer is 7.", "7"),
        ("<think>a <think> b</think> The answer is 7.", "7"),
        (r"the prompt opened it \boxed{3}</think> The answer is 4.", "4"),
        (r"The answer is 4. <think>or is it \boxed{3}", "4"),
        (r"<think>\boxed{3}, and the answer is 3", None),
        (r"<Thinking>\boxed{3}</Thinking> 4", "4"),
        (r"◁think▷\boxed{3}◁/think▷ 4", "4"),
        (r"<seed:think>\boxed{3}</seed:think> 4", "4"),
    ],
)
def test_a_thought_is_never_the_answer(response: str, answer: str | None) -> None:
    """Nested, repeated, never closed, or opened by the prompt: what is inside does not count."""
    assert extract_answer(response) == answer


@given(st.text(alphabet="\\boxed{}$*#.answer is:=0123456789,/-\n "))
def test_an_answer_is_a_part_of_the_response(response: str) -> None:
    """Whatever the text, extraction ends, and never returns an empty answer or one that the response lacks.

    Only a list of boxes is put together, and a decimal gets the digit before its point.
    """
    answer = extract_answer(response)
    if answer is not None:
        assert answer
        assert all(
            part in response or part.removeprefix("-").removeprefix("0") in response for part in answer.split(", ")
        )


@given(st.text())
def test_any_text_can_be_read(response: str) -> None:
    """No text makes extraction fail."""
    extract_answer(response)
    extract_answer(f"<think>{response}</think> The answer is {response}")


def test_the_analysis_channel_is_no_answer() -> None:
    """What gpt-oss thinks before its final channel."""
    said = "<|channel|>analysis<|message|>Perhaps \\boxed{3}?<|end|><|start|>assistant"
    assert extract_answer(f"{said}<|channel|>final<|message|>It is \\boxed{{4}}.") == "4"
    assert extract_answer(said) is None
