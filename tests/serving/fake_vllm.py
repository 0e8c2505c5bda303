"""Stands in for `vllm serve`: answers /health after a while, and has a child that must not outlive it.

The model's name says what it does: `never` ends at once, `deaf` never answers, `slow` answers late, `stubborn` ignores
SIGTERM, and any other is healthy.
"""

import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


model, port = sys.argv[2], int(sys.argv[sys.argv.index("--port") + 1])
print(f"loading {model}", flush=True)
if model == "never":
    print("no such model", flush=True)
    sys.exit(3)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if model == "deaf":
    time.sleep(600)
if model == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if model == "slow":
    time.sleep(0.3)
HTTPServer(("127.0.0.1", port), Health).serve_forever()
