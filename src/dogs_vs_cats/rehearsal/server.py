"""The small Kaggle's server on loopback: Kaggle's API, its file store and its upload host in one.

It is also the proxy of the client's process, so a request to any other host ends here, refused,
and not on the network.
"""

import json
import re
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import unquote, urlsplit

from dogs_vs_cats.rehearsal import faults
from dogs_vs_cats.rehearsal.faults import Dropped, Fault, Faults, Refused
from dogs_vs_cats.rehearsal.routes import Routes

CALL = re.compile(r"(?:/api)?/v1/[\w.]+Service/(\w+)")
RANGE = re.compile(r"bytes=(\d+)-(\d*)")
CHUNK = 1 << 16
HTML = b"<!DOCTYPE html><html><head><title>Kaggle</title></head><body>Sign in</body></html>\n"
# Status and type of the redirect to a file, whose body is empty. The client follows it whichever
# they are; the type is "" for none. This one misleads whoever reads the body.
REDIRECT = (302, "application/json")
STORE_ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code></Error>\n"


class Server(ThreadingHTTPServer):
    """A server on a free port of 127.0.0.1 only, whose threads end with it."""

    daemon_threads = True

    def __init__(self, routes: Routes, faults: Faults):
        self.routes, self.faults = routes, faults
        self.closing = threading.Event()
        self.sockets: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def server_bind(self):
        # HTTPServer's own looks up the host's name, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", int(self.server_address[1])

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """End the server and every connection, also those that wait for an answer."""
        self.closing.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.sockets):
            _hang_up(connection)

    def handle_error(self, request, client_address):
        """Ignore a client that hangs up; anything else is a defect and shows its traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side closed it first


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server
    what = ""  # the call or path, for the log

    def setup(self):
        super().setup()
        self.server.sockets.add(self.connection)

    def finish(self):
        self.server.sockets.discard(self.connection)
        super().finish()

    def log_request(self, code="-", size="-"):
        self.server.routes.requests.append((self.command, self.what, int(code)))

    def log_message(self, format, *args):
        """Print nothing: the log is `requests`."""

    def do_POST(self):
        self._answer(self._call)

    def do_GET(self):
        self._answer(self._download)

    def do_PUT(self):
        self._answer(self._upload)

    def do_CONNECT(self):
        self._answer(self._no_other_host)

    def _answer(self, act) -> None:
        """Call `act` for this request; answer a refusal in Kaggle's format."""
        target = urlsplit(self.path)
        self.what = unquote(target.path)
        if self.command == "CONNECT" or target.hostname not in (None, "localhost", "127.0.0.1"):
            self.what, act = self.path, self._no_other_host
        try:
            act()
        except Refused as refused:
            headers = {} if refused.retry_after is None else {"Retry-After": refused.retry_after}
            body = {"code": refused.status, "message": refused.words}
            self._send(refused.status, json.dumps(body).encode(), "application/json", headers)
        except Dropped:
            self.close_connection = True
            _hang_up(self.connection)

    def _no_other_host(self) -> None:
        self.close_connection = True
        raise Refused(403, "The rehearsal reaches no other host.")

    def _send(self, status: int, body: bytes, kind: str, headers: dict | None = None) -> None:
        self.send_response(status)
        typed = {"Content-Type": kind} if kind else {}
        for name, value in {**typed, **(headers or {})}.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _fail(self, *names: str) -> None:
        """Make this request fail if a fault of any request is due."""
        fault = self.server.faults.take(faults.ANYWHERE, *names)
        if fault is None:
            return
        if fault.kind in ("drop", "silence"):
            self.server.routes.requests.append((self.command, self.what, 0))
            if fault.kind == "silence":
                self.server.closing.wait()
            raise Dropped
        status, words = faults.REFUSALS[fault.kind]
        raise Refused(status, words, fault.retry_after)

    # Calls

    def _call(self) -> None:
        body = b"".join(self._body())
        match = CALL.fullmatch(self.what)
        if match is None:
            raise Refused(404, "Not found")
        self.what = match[1]
        self._fail(self.what)
        if self.what != "IntrospectToken":
            scheme, _, secret = self.headers.get("Authorization", "").partition(" ")
            if not self.server.routes.knows(scheme, secret):
                raise Refused(401, "Unauthenticated")
        try:
            request = json.loads(body or b"{}")
        except ValueError as error:
            raise Refused(400, f"The request isn't JSON: {error}") from error
        answer = self.server.routes.call(self.what, request)
        if isinstance(answer, str):
            status, kind = REDIRECT
            self._send(status, b"", kind, {"Location": answer})
        else:
            self._send(200, json.dumps(answer).encode(), "application/json")

    # Downloads

    def _download(self) -> None:
        target = urlsplit(self.path)
        name = self.what.removeprefix("/blobs/")
        if target.query != f"signature={self.server.routes.signature}":
            raise Refused(403, "The link has expired.")
        self._fail("download", name)
        fault = self.server.faults.take(faults.DOWNLOAD, "download", name)
        if fault and fault.kind == "html":
            self._send(200, HTML, "text/html; charset=utf-8")
        elif fault and fault.kind == "error-body":
            self._send(fault.status or 500, STORE_ERROR, "application/xml")
        else:
            self._send_file(self.server.routes.blob(name), fault)

    def _send_file(self, path: Path, fault: Fault | None) -> None:
        stat = path.stat()
        size, etag = stat.st_size, f'"{stat.st_size:x}-{stat.st_mtime_ns:x}"'
        modified = self.date_time_string(int(stat.st_mtime))
        start, end = 0, size  # the bytes to send: [start, end)
        asked = RANGE.fullmatch(self.headers.get("Range", ""))
        if asked and self.headers.get("If-Range", etag) in (etag, modified):
            start = int(asked[1])
            end = min(int(asked[2] or size) + bool(asked[2]), size)
            if start >= end:
                self._send(416, b"", "text/plain", {"Content-Range": f"bytes */{size}"})
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        else:
            self.send_response(200)
        zipped = path.suffix == ".zip"
        self.send_header("Content-Type", "application/zip" if zipped else "text/csv")
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", etag)
        self.send_header("Last-Modified", modified)
        self.end_headers()
        self._send_bytes(path, start, end, fault)

    def _send_bytes(self, path: Path, start: int, end: int, fault: Fault | None) -> None:
        """Send the file's bytes [start, end), cut or damaged as `fault` says."""
        cut = fault is not None and fault.kind == "cut"
        stop = min(start + fault.after_bytes, end) if fault and cut else end
        damaged = None
        if fault is not None and fault.kind == "damage":
            damaged = start + (fault.after_bytes or (end - start) // 2)
        with path.open("rb") as file:
            file.seek(start)
            while start < stop:
                chunk = bytearray(file.read(min(CHUNK, stop - start)))
                if damaged is not None and start <= damaged < start + len(chunk):
                    chunk[damaged - start] ^= 0xFF
                self.wfile.write(chunk)
                start += len(chunk)
        if cut:
            raise Dropped

    # Uploads

    def _upload(self) -> None:
        token = self.what.removeprefix("/uploads/")
        fault = self.server.faults.take(("drop",), "upload")
        if fault:
            self.server.routes.requests.append((self.command, self.what, 0))
            self.rfile.read(min(fault.after_bytes, int(self.headers.get("Content-Length") or 0)))
            raise Dropped
        pieces = b"".join(self._body())
        self._fail("upload")
        fault = self.server.faults.take(faults.UPLOAD, "upload")
        if fault:
            raise Refused(fault.status or 403, "The upload is refused.")
        path, size = self.server.routes.inbox(token)
        if len(pieces) != size:
            raise Refused(400, f"Expected {size} bytes, received {len(pieces)}.")
        path.write_bytes(pieces)
        self._send(200, b"", "text/plain")

    def _body(self):
        """Yield the request's body. The client sends an empty file chunked, with no chunk."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
