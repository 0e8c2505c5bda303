"""The scorer: is the final answer mathematically the same as the reference?"""

import asyncio

from inspect_ai.scorer import CORRECT, INCORRECT, Score, Scorer, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState

from rsd_graph.answers import extract_answer
from rsd_graph.data.grading import is_right


@scorer(metrics=[accuracy(), stderr()])
def final_answer() -> Scorer:
    """Compare the final answer of the response with the reference, as mathematics (`rsd_graph.answers`).

    A problem with choices is right if the answer is the right letter, or the text of the right choice.
    """

    async def score(state: TaskState, target: Target) -> Score:
        answer = extract_answer(state.output.completion)
        choices = tuple(choice.value for choice in state.choices)
        tolerance = state.metadata.get("tolerance")
        right = await asyncio.to_thread(is_right, answer, target.text, choices=choices, tolerance=tolerance)
        return Score(value=CORRECT if right else INCORRECT, answer=answer, explanation=f"reference: {target.text}")

    return score
