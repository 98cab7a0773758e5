"""`marimo run` on a free port of this machine, for as long as a test or a measurement needs it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def served(
    path: Path | str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[SimpleNamespace]:
    """Runs a notebook, or a folder of them; gives `.url`, `.log` (a file) and `.process`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "marimo", "run", str(path), "--headless", "--no-sandbox", "--port", str(port)]
    variables = os.environ | {"PYTHONPATH": str(ROOT), "MARIMO_SKIP_UPDATE_CHECK": "1"} | dict(environment or {})
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with log.open("w") as out:
            process = subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=out, stderr=out, env=variables)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_healthy(process, url, log)
            yield SimpleNamespace(url=url, log=log, process=process)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_healthy(process: subprocess.Popen, url: str, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"marimo did not start:\n{log.read_text()[-3000:]}")
