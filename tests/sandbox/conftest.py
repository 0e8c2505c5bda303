"""Every backend is tested where it can run; here that is all of them, so none is skipped silently."""

from collections.abc import Iterator

import pytest

from rsd_graph.errors import SandboxError
from rsd_graph.sandbox.backends import BACKENDS, Backend
from rsd_graph.sandbox.limits import Limits
from rsd_graph.sandbox.local import LocalSandbox
from rsd_graph.sandbox.verify import verify


@pytest.fixture(scope="session", params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each way to start an interpreter; skipped, with the reason, where the system has no means for it."""
    tried: Backend = request.param
    try:
        verify(tried, Limits())
    except SandboxError as error:
        if "a wall does not hold" in str(error):
            raise
        pytest.skip(str(error))
    return tried


@pytest.fixture(scope="session")
def sandbox(backend: Backend) -> Iterator[LocalSandbox]:
    """Without packages imported ahead: it starts faster."""
    sandbox = LocalSandbox(backends=[backend], preload=())
    yield sandbox
    sandbox.close()
