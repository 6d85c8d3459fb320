"""Where a bench's webhooks arrive: a web server on this machine that counts each delivery by its id."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from uuid import UUID


class Sink:
    """Answers 204 to every POST; a context manager. ``arrived``: how often each ``webhook-id`` came."""

    def __init__(self) -> None:
        self.arrived: Counter[UUID] = Counter()
        arrived, lock = self.arrived, threading.Lock()

        class Hook(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                with lock:
                    arrived[UUID(self.headers["webhook-id"])] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the bench prints what came of it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self._thread = threading.Thread(target=self._server.serve_forever, name="sink", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
