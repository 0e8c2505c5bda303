"""A llama.cpp server that takes every request for a step, answers none, and counts those that are open."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class HangingServer:
    """It runs in a thread of its own."""

    def __init__(self) -> None:
        self.open = 0
        self.taken = 0
        self.url = ""

    def wait_for(self, *, open_requests: int, seconds: float = 5) -> float:
        """Wait until so many requests are open; returns how long it took."""
        started = time.monotonic()
        while self.open != open_requests:
            assert time.monotonic() - started < seconds, f"{self.open} requests are open"
            time.sleep(0.005)
        return time.monotonic() - started

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0] or 0)
                await reader.readexactly(length)
                if "/completion" in head.partition("\r\n")[0]:
                    self.open += 1
                    self.taken += 1
                    try:
                        await reader.read()  # ends when the client closes the connection
                    finally:
                        self.open -= 1
                    break
                content = json.dumps({"default_generation_settings": {}, "prompt": "p"}).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
                writer.write(b"Content-Length: %d\r\n\r\n" % len(content) + content)
        writer.close()


@contextmanager
def hanging_server() -> Iterator[HangingServer]:
    """The server, until the block ends."""
    server, loop = HangingServer(), asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.handle, "127.0.0.1", 0))
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.close()
