import subprocess
import sys
from pathlib import Path

import pytest

from rsd_graph.gateway.metrics import SHARED, Metrics

COUNT = """
import sys
from rsd_graph.gateway.metrics import Metrics
metrics = Metrics()
metrics.scored(accepted=True)
metrics.active.inc()
"""


def test_processes_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What all have counted is added up; runs of a process that is gone are no longer in progress."""
    monkeypatch.setenv(SHARED, str(tmp_path))
    for _ in range(2):
        subprocess.run([sys.executable, "-c", COUNT], check=True)
    page = Metrics().page().decode()
    assert 'rsd_proposals_total{accepted="true"} 2.0' in page
    assert "rsd_active_runs 2.0" not in page
