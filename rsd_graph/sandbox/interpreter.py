"""One sandboxed interpreter, seen from outside: its process, its pipes, and what may come back on them.

All that comes back was written by hostile code: bytes of limited number, read as text and JSON, and believed in nothing
but what the code did.
"""

import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rsd_graph.errors import SandboxError
from rsd_graph.sandbox.backends import ENVIRONMENT, Backend
from rsd_graph.sandbox.limits import Limits
from rsd_graph.sandbox.protocols import Execution

START_SECONDS = 60.0
"""Until the interpreter has built its walls and imported its packages, on a busy machine."""
LOOK_SECONDS = 0.05
"""Between two looks at the size of the scratch directory."""
MOST_ANSWER = 64 << 10
CHUNK = 64 << 10


class _EndedError(Exception):
    """The interpreter cannot go on; the message says why."""


class Interpreter:
    """Starts at once; the first block waits until it is ready. One block at a time.

    Args:
        backend: How to start it.
        limits: What it may use.
        preload: Packages that it imports before it says that it is ready, if they are installed.
    """

    def __init__(self, backend: Backend, limits: Limits, preload: Sequence[str] = ()) -> None:
        self._backend, self._limits = backend, limits
        self._owner = os.getpid()
        self._ready = False
        self._dying = threading.Lock()
        self._scratch = "" if backend.own_files else tempfile.mkdtemp(prefix="rsd-sandbox-")
        answers, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                backend.command(limits, preload, self._scratch, theirs),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs],
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                bufsize=0,
            )
        except BaseException:
            os.close(answers)
            self._remove_scratch()
            raise
        finally:
            os.close(theirs)
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._blocks, self._output, self._complaints = (stream.fileno() for stream in streams if stream)
        self._answers = answers
        for descriptor in (self._blocks, self._output, self._complaints, answers):
            os.set_blocking(descriptor, False)

    @property
    def alive(self) -> bool:
        """Whether it can run another block."""
        return self._owner == os.getpid() and self._process.returncode is None and self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Wait for the walls and the packages.

        Raises:
            SandboxError: it did not start; the message says why.
        """
        if self._ready:
            return
        talk = _Talk(self._limits)
        try:
            answer = self._talk(b"", talk, time.monotonic() + START_SECONDS)
        except (_EndedError, TimeoutError) as error:
            self.close()
            said = talk.complaints.decode(errors="replace").strip().splitlines()
            raise SandboxError(f"{self._backend.name}: {error}{f': {said[-1]}' if said else ''}") from None
        if answer.get("ready") is not True:
            self.close()
            raise SandboxError(f"{self._backend.name}: {answer.get('error') or 'it does not start'}")
        self._ready = True

    def run(self, code: str, timeout: float) -> Execution:
        """Run a block; an interpreter that cannot go on afterwards is closed.

        Raises:
            SandboxError: the interpreter did not start.
        """
        self.wait_until_ready()
        self._signal(signal.SIGCONT)
        name = secrets.token_hex(8)
        block = json.dumps({"id": name, "code": code}).encode()
        talk = _Talk(self._limits)
        try:
            answer = self._talk(len(block).to_bytes(4, "big") + block, talk, time.monotonic() + timeout)
            problem = answer.get("error")
            if answer.get("id") != name or not isinstance(problem, str):
                raise _EndedError("the code wrote into the sandbox's own pipe")
        except TimeoutError:
            self.close()
            message = f"TimeoutError: the code was stopped after {timeout:g} seconds"
            return Execution(talk.text(), message, timed_out=True, restarted=True)
        except _EndedError as error:
            self.close()
            return Execution(talk.text(), f"SandboxError: {error}", restarted=True)
        self._signal(signal.SIGSTOP)  # threads that it left behind do nothing until the next block
        return Execution(talk.text(), problem.encode(errors="backslashreplace").decode())

    def close(self) -> None:
        """Kill every process in there, and remove the scratch directory. From any thread, and as often as you like."""
        if self._owner != os.getpid():
            return  # a fork: it is the parent's
        with self._dying:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._remove_scratch()

    def release(self) -> None:
        """Close the pipes too: only when no thread uses them any more."""
        self.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1

    def _remove_scratch(self) -> None:
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def _talk(self, to_send: bytes, talk: "_Talk", deadline: float) -> dict[str, object]:
        """Send the bytes, collect the output, and return the answer."""
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._output, self._answers, self._complaints):
                selector.register(descriptor, selectors.EVENT_READ)
            if to_send:
                selector.register(self._blocks, selectors.EVENT_WRITE)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("no answer in time")
                for key, _ in selector.select(min(left, LOOK_SECONDS)):
                    descriptor = key.fd
                    if descriptor == self._blocks:
                        to_send = self._sent(to_send)
                        if not to_send:
                            selector.unregister(descriptor)
                    elif not self._received(descriptor, talk):
                        selector.unregister(descriptor)
                answer = talk.answer()
                if answer is not None:
                    self._received(self._output, talk, all_of_it=True)
                    return answer
                if self._answers not in selector.get_map():
                    raise _EndedError(self._end())
                self._check_scratch()

    def _sent(self, data: bytes) -> bytes:
        try:
            return data[os.write(self._blocks, data) :]
        except BrokenPipeError:
            raise _EndedError(self._end()) from None

    def _received(self, descriptor: int, talk: "_Talk", *, all_of_it: bool = False) -> bool:
        """Read what there is; False at the end."""
        while True:
            try:
                data = os.read(descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                return False
            if descriptor == self._output:
                talk.printed(data)
            elif descriptor == self._answers:
                talk.answered(data)
            else:
                talk.complaints = (talk.complaints + data)[-2048:]
            if not all_of_it:
                return True

    def _check_scratch(self) -> None:
        if self._backend.own_files:
            return
        size = entries = 0
        for folder, folders, files in os.walk(self._scratch):
            entries += len(folders) + len(files)
            for name in files:
                with suppress(OSError):
                    size += os.lstat(Path(folder, name)).st_blocks * 512
            if size > self._limits.scratch or entries > self._limits.entries:
                raise _EndedError("the code wrote more files than its scratch directory may hold")

    def _end(self) -> str:
        """Why it is no longer there."""
        try:
            code = self._process.wait(1)
        except subprocess.TimeoutExpired:
            return "the code closed the sandbox's own pipe"
        number = -code if code < 0 else code - 128
        if number in set(signal.Signals):
            return f"the interpreter was ended by the signal {signal.Signals(number).name}"
        return f"the code ended the interpreter (exit status {code})"


class _Talk:
    """What has come back so far for one block."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._kept, self._seen, self._answer = bytearray(), 0, bytearray()
        self.complaints = b""

    def printed(self, data: bytes) -> None:
        self._seen += len(data)
        self._kept += data[: max(0, 4 * self._limits.output - len(self._kept))]
        if self._seen > self._limits.flood:
            raise _EndedError(f"the code printed more than {self._limits.flood} bytes")

    def answered(self, data: bytes) -> None:
        self._answer += data
        if len(self._answer) > MOST_ANSWER:
            raise _EndedError("the code wrote into the sandbox's own pipe")

    def answer(self) -> dict[str, object] | None:
        """The answer, once all of it is there."""
        length = int.from_bytes(self._answer[:4], "big")
        if len(self._answer) < 4 or (len(self._answer) < 4 + length <= MOST_ANSWER):  # noqa: PLR2004
            return None
        try:
            answer = json.loads(self._answer[4:])
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or len(self._answer) != 4 + length:
            raise _EndedError("the code wrote into the sandbox's own pipe")
        return answer

    def text(self) -> str:
        text = self._kept.decode(errors="replace")
        if self._seen > len(self._kept) or len(text) > self._limits.output:
            return f"{text[: self._limits.output]}\n[cut: more than {self._limits.output} characters were printed]"
        return text
