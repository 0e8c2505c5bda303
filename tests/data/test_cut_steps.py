from rsd_graph import Generation
from rsd_graph.data.cut_steps import group_cut_steps


def test_a_step_that_was_cut_is_grouped_with_what_continues_it() -> None:
    """However often it was cut; the last one may be cut and not continued."""
    steps = [
        Generation("a", "delimiter"),
        Generation("b", "length"),
        Generation("c", "length"),
        Generation("d", "delimiter"),
        Generation("e", "length"),
    ]
    texts = [[step.text for step in group] for group in group_cut_steps(steps)]
    assert texts == [["a"], ["b", "c", "d"], ["e"]]
    assert group_cut_steps([]) == []
