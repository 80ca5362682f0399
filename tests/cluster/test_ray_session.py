"""A session: which cluster is joined."""

import socket

import pytest

from dogs_vs_cats.cluster import session
from dogs_vs_cats.errors import UserError
from support.ray_nodes import TOKEN


@pytest.mark.extra("ray")
def test_where_no_cluster_runs_the_address_is_named_within_seconds(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nothing listens there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"No Ray cluster answers at {address}"):
            session.check(address, insecure=False)
