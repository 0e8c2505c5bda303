"""Stands in for `vllm serve`: answers /health after a while, and has a child that must not outlive it.

The model's name says what it does: `never` ends at once, `broken` does so with a log as vLLM writes it, `deaf` never
answers, `slow` answers late, `stubborn` ignores SIGTERM, and any other is healthy.
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
if model == "broken":
    print("(APIServer pid=1) WARNING 11-27 09:14:21 [utils.py:299] This can cause errors like `OSError: [Errno 24]`")
    print("(EngineCore pid=2) ERROR 11-27 09:14:22 [core.py:843] Traceback (most recent call last):")
    print("(EngineCore pid=2) (Worker pid=3) ERROR 11-27 09:14:22 [core.py:843] ValueError: too little free memory")
    print(*("(APIServer pid=1)   File ..." for _ in range(40)), sep="\n")
    print("(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
    sys.exit(1)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if model == "deaf":
    time.sleep(600)
if model == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if model == "slow":
    time.sleep(0.3)
HTTPServer(("127.0.0.1", port), Health).serve_forever()
