from rsd_graph.text_sink import text_sink, text_to


def test_a_sink_is_open_within_its_block_only() -> None:
    """A model finds the innermost one; None closes those around it."""
    seen: list[str] = []
    assert text_sink() is None
    with text_to(seen.append):
        assert text_sink() == seen.append
        with text_to(None):
            assert text_sink() is None
        assert text_sink() == seen.append
    assert text_sink() is None
