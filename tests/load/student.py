"""One student's browser tab as the server sees it: a websocket that listens, and requests that move a slider.

The protocol is that of `marimo run`: cells run when the socket opens, and `completed-run` ends each answer.
"""

import json
import re
import time
import urllib.request
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

PATIENCE = 120.0  # seconds before an answer counts as lost


class Broken(RuntimeError):
    """An answer that no student should see, or none."""


@dataclass
class Student:
    """A session of one app. `open` it, `move` its sliders, read `heard` (the bytes received since)."""

    address: str  # http://127.0.0.1:2718
    app: str  # file name
    session: str = field(default_factory=lambda: f"s_{uuid.uuid4().hex[:6]}")
    cells: dict[str, str] = field(default_factory=dict)  # the last output of every cell
    heard: int = 0

    def open(self) -> float:
        """Seconds until the page was complete."""
        start = time.perf_counter()
        page = self._ask(f"/?file={self.app}").decode()
        token = re.search(r'"serverToken":\s*"([^"]+)"', page)
        assert token is not None, "the page holds no server token"
        self._token = token.group(1)
        url = self.address.replace("http", "ws", 1) + f"/ws?session_id={self.session}&file={self.app}"
        self._room = ExitStack()
        self._socket: ClientConnection = self._room.enter_context(connect(url, max_size=None, open_timeout=PATIENCE))
        self._listen()
        return time.perf_counter() - start

    def move(self, label: str, value: Any) -> float:
        """Seconds until the answer to a control, found by its label, was complete."""
        start = time.perf_counter()
        body = {"objectIds": [self._control(label)], "values": [value]}
        self._ask("/api/kernel/set_ui_element_value", body)
        self._listen()
        return time.perf_counter() - start

    def close(self) -> None:
        """Leave."""
        self._room.close()

    def text(self) -> str:
        """Everything on the page, as markup."""
        return "\n".join(self.cells.values())

    def _control(self, label: str) -> str:
        pattern = rf"object-id='([^']+)'[^>]*><marimo-[a-z]+ [^>]*data-label='[^']*{re.escape(label)}"
        found = re.search(pattern, self.text())
        if found is None:
            raise Broken(f"{self.app} shows no control {label!r}")
        return found.group(1)

    def _ask(self, path: str, body: Any = None) -> bytes:
        headers = {"Content-Type": "application/json", "Marimo-Session-Id": self.session}
        if body is not None:
            headers["Marimo-Server-Token"] = self._token
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return reply.read()

    def _listen(self) -> None:
        """Take in messages until the run that answers is complete. Broken where a cell failed."""
        while True:
            message = self._socket.recv(timeout=PATIENCE)
            self.heard += len(message)
            event = json.loads(message)
            kind, data = event.get("op"), event.get("data", event)
            if kind == "completed-run":
                return
            if kind == "cell-op" and (output := data.get("output")):
                self._take(data["cell_id"], output)

    def _take(self, cell: str, output: dict[str, Any]) -> None:
        if output.get("channel") == "marimo-error" or "error" in output.get("mimetype", ""):
            raise Broken(f"{self.app}: a cell failed: {output.get('data')}")
        self.cells[cell] = output["data"] if isinstance(output.get("data"), str) else json.dumps(output.get("data"))
