"""A bucket on this machine: moto's server, and a proxy before it that fails as networks do."""

import contextlib
import http.client
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from filelock import FileLock

from support.commands import PROJECT
from support.servers import serving

# Of its own environment: what it needs does not go with what the project needs.
MOTO = ("moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
# Moto believes any signature, but nobody may change what nobody has put.
SOMEBODY = "AWS4-HMAC-SHA256 Credential=somebody/20260101/us-east-1/s3/aws4_request, Signature=0"
ENVIRONMENT = (
    PROJECT / ".pytest_cache" / f"moto-5.2.5-{sys.version_info.major}.{sys.version_info.minor}"
)


def moto_program() -> Path:
    """Return moto's server, installed the first time; skip the test where pip can't get it."""
    program = ENVIRONMENT / "bin" / "moto_server"
    ENVIRONMENT.parent.mkdir(exist_ok=True)
    with FileLock(f"{ENVIRONMENT}.lock"):
        if not program.exists():
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            python = str(ENVIRONMENT / "bin" / "python")
            install = [python, "-m", "pip", "install", "-q", "--no-compile", *MOTO]
            for command in [sys.executable, "-m", "venv", str(ENVIRONMENT)], install:
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
                    pytest.skip(f"moto's server can't be installed: {done.stderr.strip()[-200:]}")
    return program


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Run moto's server while the block runs, on loopback alone; yield its address."""
    program = moto_program()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-H", "127.0.0.1", "-p", str(port)]
    # Its settings must not come from whoever runs the tests.
    variables = {
        name: x for name, x in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))
    }
    with subprocess.Popen(
        [str(program), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=variables,
    ) as server:
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    assert server.poll() is None, "moto's server has ended"
                    assert time.monotonic() < deadline, "moto's server does not answer"
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def put(url: str, data: bytes = b"") -> None:
    """Put an object, or make a bucket, at a URL of moto's server."""
    _ask("PUT", url, data)


def delete(url: str) -> None:
    _ask("DELETE", url, b"")


def _ask(method: str, url: str, data: bytes) -> None:
    address = urlsplit(url)
    assert address.hostname
    connection = http.client.HTTPConnection(address.hostname, address.port)
    connection.request(method, quote(address.path), data, {"Authorization": SOMEBODY})
    answer = connection.getresponse()
    assert answer.status in (200, 204), answer.read()
    connection.close()


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class Proxy:
    """What a proxy was asked, and how it fails.

    asked: (path, Range) of each request. fault: (pattern of paths, how often, what it does), the
    last being a status and a body, or "cut": half of the answer, or "slow": 0.2 seconds more.
    """

    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    fault: tuple[str, int, object] = ("(?!)", 0, None)
    under_way: int = 0
    most: int = 0  # requests under way at once

    def fails(self, path: str) -> object:
        """Return what to do now, None where nothing is to fail."""
        pattern, times, act = self.fault
        if not times or not re.search(pattern, path):
            return None
        self.fault = pattern, times - 1, act
        return act


@contextlib.contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """Forward requests to `upstream` while the block runs."""
    proxy = Proxy()
    target = urlsplit(upstream)
    assert target.hostname

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            proxy.asked.append((self.path, self.headers.get("Range")))
            proxy.under_way += 1
            proxy.most = max(proxy.most, proxy.under_way)
            act = proxy.fails(self.path)
            if act == "slow":
                time.sleep(0.2)
            if isinstance(act, tuple):
                status, headers, body = act[0], {"Content-Type": "application/xml"}, act[1]
            else:
                status, headers, body = self.forwarded()
            proxy.under_way -= 1
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body[: len(body) // 2] if act == "cut" else body)
            self.close_connection = act == "cut"

        do_HEAD = do_GET  # noqa: N815

        def forwarded(self) -> tuple[int, dict[str, str], bytes]:
            connection = http.client.HTTPConnection(target.hostname, target.port)
            connection.request(self.command, self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            dropped = {"transfer-encoding", "connection", "date", "server"}
            dropped |= set() if self.command == "HEAD" else {"content-length"}
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in dropped}
            return answer.status, headers, body

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    with serving(Forward) as address:
        proxy.url = address.removesuffix("/file.bin")
        yield proxy
