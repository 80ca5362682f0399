"""Small servers on loopback for tests that need a poor one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serving(handler) -> Iterator[str]:
    """Serve while the block runs; yield the address of /file.bin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file.bin"
    finally:
        server.shutdown()
        server.server_close()


class Scripted(BaseHTTPRequestHandler):
    """Gives the answers of `script` one after the other: status, headers and body."""

    script: list = []  # noqa: RUF012 - each test makes a subclass with its own
    asked: list = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        status, headers, body = self.script.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


def scripted(*answers) -> type[Scripted]:
    """Return a handler for one server, which keeps in `asked` what it was asked."""
    return type("OneScript", (Scripted,), {"script": list(answers), "asked": []})
