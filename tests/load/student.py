"""One student's browser tab as the server sees it: a websocket that listens, and requests that move a slider.

The protocol is that of `marimo run`: cells run when the socket opens, and `completed-run` ends each answer.
"""

import html
import json
import re
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
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
    query: Mapping[str, str] = field(default_factory=dict)  # settings in the address
    cells: dict[str, str] = field(default_factory=dict)  # the last output of every cell
    charts: dict[str, dict[str, Any]] = field(default_factory=dict)  # the last state of every chart
    heard: int = 0

    def open(self) -> float:
        """Seconds until the page was complete."""
        start = time.perf_counter()
        address = urllib.parse.urlencode({"file": self.app, **self.query})
        page = self.ask(f"/?{address}").decode()
        token = re.search(r'"serverToken":\s*"([^"]+)"', page)
        assert token is not None, "the page holds no server token"
        self._token = token.group(1)
        url = self.address.replace("http", "ws", 1) + f"/ws?session_id={self.session}&{address}"
        self._room = ExitStack()
        self._socket: ClientConnection = self._room.enter_context(connect(url, max_size=None, open_timeout=PATIENCE))
        self._listen()
        return time.perf_counter() - start

    def move(self, label: str, value: Any) -> float:
        """Seconds until the answer to a control, found by its label, was complete."""
        start = time.perf_counter()
        body = {"objectIds": [self._control(label)], "values": [value]}
        self.ask("/api/kernel/set_ui_element_value", body)
        self._listen()
        return time.perf_counter() - start

    def close(self) -> None:
        """Leave."""
        self._room.close()

    def text(self) -> str:
        """Everything on the page, as markup."""
        return "\n".join(self.cells.values())

    def _control(self, label: str) -> str:
        """The object of the first control with that label, or one that begins with it."""
        tags = re.findall(r"object-id='([^']+)'[^>]*><marimo-[a-z-]+ [^>]*data-label='([^']*)'", self.text())
        named = [(name, re.sub("<[^>]*>", "", json.loads(html.unescape(words)) or "")) for name, words in tags]
        for found in (str.__eq__, str.startswith):
            if objects := [name for name, words in named if found(words, label)]:
                return objects[0]
        raise Broken(f"{self.app} shows no control {label!r}")

    def ask(self, path: str, body: Any = None) -> bytes:
        """The server's reply to a request."""
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
            if self.hear(str(message)):
                return

    def hear(self, message: str) -> bool:
        """Take a message in; True for the one that ends an answer."""
        self.heard += len(message)
        event = json.loads(message)
        kind, data = event.get("op"), event.get("data", event)
        if kind == "cell-op" and (output := data.get("output")):
            self._take(data["cell_id"], output)
        if kind == "model-lifecycle" and data["message"]["method"] in ("open", "update"):
            self._draw(data["model_id"], data["message"])
        return kind == "completed-run"

    def _draw(self, chart: str, message: dict[str, Any]) -> None:
        """A chart's state, whose numbers travel apart from it, in the order of their places."""
        buffers = zip(map(json.dumps, message.get("buffer_paths", ())), message.get("buffers", ()))
        self.charts.setdefault(chart, {}).update(message["state"] | dict(buffers))

    def _take(self, cell: str, output: dict[str, Any]) -> None:
        if output.get("channel") == "marimo-error" or "error" in output.get("mimetype", ""):
            raise Broken(f"{self.app}: a cell failed: {output.get('data')}")
        self.cells[cell] = output["data"] if isinstance(output.get("data"), str) else json.dumps(output.get("data"))
