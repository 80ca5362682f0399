"""A session on Ray: a cluster of this machine's own, or one that runs and is joined."""

import importlib
import os
import secrets
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogs_vs_cats import environment, progress
from dogs_vs_cats.errors import UserError, first_line

LOCAL, AUTO = "local", "auto"
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # where Ray looks for a token, and ...
DEFAULT_TOKEN = Path(".ray", "auth_token")  # in the home folder
STORE = 1 << 30  # bytes for results that wait, most; shards are of some megabytes


@dataclass(frozen=True)
class Node:
    """A machine of the cluster. id: Ray's; name: its address, or the name it was started with."""

    id: str
    name: str
    cpus: int
    gpus: int


def ray() -> Any:
    """Return the module ray: not for Ray's types, which a machine without it does not have."""
    return importlib.import_module("ray")


def check(cluster: str, insecure: bool) -> None:
    """Raise UserError, within seconds, if Ray is not installed or the cluster may not be joined."""
    environment.versions("ray", setup="make setup EXTRAS=ray")
    if cluster == LOCAL or insecure:
        return
    if not _token():
        raise UserError(
            f"There is no token for CLUSTER={cluster}: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or "
            "~/.ray/auth_token. INSECURE=1 joins a cluster without one: whoever reaches it can "
            "run anything on it."
        )
    if cluster != AUTO:
        _require_closed(cluster)


@contextmanager
def joined(cluster: str, insecure: bool) -> Iterator[None]:
    """Run the block with Ray started: on this machine for `local`, else as part of a cluster.

    A local one listens on the loopback address alone and ends with the block; another is left as it
    was. UserError if it can't be joined, or obeys strangers and not `insecure`.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised too
    with ExitStack() as stack:
        options = _local(stack) if cluster == LOCAL else _remote(cluster)
        stack.callback(ray().shutdown)
        handler = signal.getsignal(signal.SIGTERM)
        with progress.native_stderr_muted():  # Ray warns each second until it gives up
            _start(cluster, options)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)  # Ray's own would end without a word
        if cluster == AUTO and not insecure:  # Ray alone knows the address
            _require_closed(ray().get_runtime_context().gcs_address)
        yield


def _start(cluster: str, options: dict[str, Any]) -> None:
    """Start Ray, or join a cluster; UserError if that fails."""
    library = ray()
    try:
        library.init(log_to_driver=False, logging_level="ERROR", **options)
        # As Ray's debugger does. It prints a page for each worker that is lost; our driver a line.
        library._private.worker._worker_logs_enabled = False
    except (ConnectionError, RuntimeError, ValueError, library.exceptions.RayError) as error:
        raise UserError(
            f"Ray can't start with CLUSTER={cluster}: {first_line(error).rstrip('.')}. Check that "
            "the cluster runs, that this machine is one of its nodes, and that both have one token."
        ) from error


def _local(stack: ExitStack) -> dict[str, Any]:
    """Set what Ray reads from the environment, and return how to start it on this machine."""
    os.environ |= {
        # Without this Ray takes the network's address for its own, and its servers listen to all.
        # Ray has it for systems whose firewall would ask; it does the same on this one.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        # Other users of this machine reach the loopback address too. One token a process: Ray
        # reads it once.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
        # Ray gives workers 15, as if they mattered less than whatever else runs.
        "RAY_worker_niceness": "0",
    }
    # Private, and gone at the end. Paths of Ray's sockets, 80 characters below it, may have 103.
    root = tempfile.gettempdir()
    root = "/tmp" if os.name == "posix" and len(root) > 20 else root
    folder = stack.enter_context(tempfile.TemporaryDirectory("", "ray-", root, True))
    return {
        "address": LOCAL,  # not RAY_ADDRESS
        "_temp_dir": folder,
        "num_cpus": environment.cores(),
        "object_store_memory": min(STORE, environment.memory() // 8),
        "include_dashboard": False,
    }


def _remote(cluster: str) -> dict[str, Any]:
    """Set what Ray reads from the environment, and return how to join a cluster."""
    os.environ["RAY_AUTH_MODE"] = "token" if _token() else "disabled"
    return {"address": cluster}


def _token() -> bool:
    """Return whether there is a token where Ray looks for one."""
    return any(map(os.environ.get, TOKENS)) or (Path.home() / DEFAULT_TOKEN).exists()


def _require_closed(address: str) -> None:
    """Raise UserError if the cluster at `address` answers a stranger, or no one."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/CheckAlive")
        try:
            ask(b"", timeout=10)
        except grpc.RpcError as error:
            silent = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED
            if error.code() in silent and not os.environ.get("RAY_USE_TLS"):
                raise UserError(
                    f"No Ray cluster answers at {address}. Check the address, and that it runs."
                ) from error
            return  # a stranger is refused, or has no certificate
    raise UserError(
        f"The cluster at {address} takes orders from anyone who reaches it. Start it with "
        "RAY_AUTH_MODE=token on each node, or give INSECURE=1 if no one else can reach it."
    )


def nodes() -> list[Node]:
    """Return the nodes that are alive."""
    return [
        Node(
            node["NodeID"],
            node.get("NodeName") or node["NodeManagerAddress"],
            int(node["Resources"].get("CPU", 0)),
            int(node["Resources"].get("GPU", 0)),
        )
        for node in ray().nodes()
        if node["Alive"]
    ]
