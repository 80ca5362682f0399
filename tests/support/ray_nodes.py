"""Nodes on this machine, each in a network namespace of its own, and Ray clusters of them.

A bridge joins the namespaces, and they have no way out: what listens in them on all addresses can't
be reached from elsewhere. Needs root, and a test is skipped without.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

PORT = 6379
TOKEN = "0123456789abcdef" * 4
DEADLINE = 60.0  # seconds to start a node
_numbers = itertools.count()


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def until(condition: Callable[[], object], process: subprocess.Popen, seconds: float = 300) -> None:
    """Wait until condition() is true while a process runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


class Nodes:
    """The nodes, numbered from 0, which is the head."""

    def __init__(self, folder: Path, token: str | None = TOKEN) -> None:
        self.folder = folder
        self.variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        if token is None:
            self.variables = {"RAY_AUTH_MODE": "disabled"}
        self._name = f"nodes-{next(_numbers)}-{os.getpid()}"
        self._count = 0
        try:
            _ip("netns", "add", self._namespace("bridge"))
        except FileNotFoundError:
            pytest.skip("there is no `ip`: install iproute2")
        except subprocess.CalledProcessError as error:
            if "Operation not permitted" not in error.stderr:
                raise
            pytest.skip("network namespaces can't be made here: that takes root")
        self._in("bridge", "ip", "link", "add", "switch", "type", "bridge")
        self._in("bridge", "ip", "link", "set", "switch", "up")

    def _namespace(self, node: int | str) -> str:
        return f"{self._name}-{node}"

    def _in(self, node: int | str, *words: str) -> None:
        subprocess.run(self.inside(node) + list(words), check=True, capture_output=True)

    def inside(self, node: int | str) -> list[str]:
        """Return the words before a command that is to run on a node."""
        return ["ip", "netns", "exec", self._namespace(node)]

    @staticmethod
    def ip(node: int) -> str:
        return f"10.77.0.{node + 1}"

    @property
    def address(self) -> str:
        return f"{self.ip(0)}:{PORT}"

    def add(self) -> int:
        """Make a node that runs nothing; return its number."""
        node, self._count = self._count, self._count + 1
        space = self._namespace(node)
        _ip("netns", "add", space)
        _ip("link", "add", "eth", "netns", space, "type", "veth",
            "peer", "name", f"to{node}", "netns", self._namespace("bridge"))  # fmt: skip
        self._in("bridge", "ip", "link", "set", f"to{node}", "master", "switch", "up")
        self._in(node, "ip", "addr", "add", f"{self.ip(node)}/24", "dev", "eth")
        for link in "lo", "eth":
            self._in(node, "ip", "link", "set", link, "up")
        # Ray takes the address from which the world would be reached for its own.
        self._in(node, "ip", "route", "add", "default", "dev", "eth")
        return node

    def start(self, cpus: int = 1, **variables: str) -> int:
        """Make a node and start Ray on it, the head first; return its number."""
        node = self.add()
        head = ["--head", f"--port={PORT}", "--include-dashboard=false"]
        subprocess.run(
            [
                *self.inside(node),
                *(sys.executable, "-m", "ray.scripts.scripts", "start"),
                *(head if node == 0 else [f"--address={self.address}"]),
                *([f"--temp-dir={self.folder}"] if node == 0 else []),
                f"--node-ip-address={self.ip(node)}",
                f"--num-cpus={cpus}",
                "--object-store-memory=80000000",
                "--disable-usage-stats",
            ],
            env={**os.environ, **self.variables, "RAY_worker_niceness": "0", **variables},
            check=True,
            capture_output=True,
            timeout=DEADLINE,
        )
        return node

    def run(self, node: int, *command: str, **variables: str) -> subprocess.Popen:
        """Start a command on a node, in a session of its own: Ctrl-C can be sent to all of it."""
        return subprocess.Popen(
            [*self.inside(node), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as in a terminal
        )

    def listeners(self, node: int) -> list[str]:
        """Return the addresses at which processes of a node listen."""
        command = [*self.inside(node), "ss", "-ltnH"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [line.split()[3].rpartition(":")[0] for line in done.stdout.splitlines()]

    def processes(self, node: int, title: str = "") -> list[int]:
        """Return the ids of a node's processes whose command line begins with `title`."""
        found = []
        for word in _ip("netns", "pids", self._namespace(node)).split():
            with suppress(OSError):
                if Path(f"/proc/{word}/cmdline").read_text().startswith(title):
                    found.append(int(word))
        return found

    def kill(self, node: int, title: str = "") -> int:
        """Kill these processes with SIGKILL; return how many they were."""
        found = self.processes(node, title)
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        return len(found)

    def close(self) -> None:
        """End all nodes and remove the namespaces."""
        for node in range(self._count):
            while self.kill(node):
                time.sleep(0.05)
        for node in [*range(self._count), "bridge"]:
            _ip("netns", "delete", self._namespace(node))
