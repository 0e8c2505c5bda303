from rsd_graph._internal.progress import Progress, silent


def test_silence_takes_any_report() -> None:
    """It has the shape of a report and says nothing."""
    report: Progress = silent
    report("fetching", 0, 1)
    report("fetching", 0.5, 1.0)
