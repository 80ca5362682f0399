"""A team: on which nodes its workers are. What they do is in the tests of features and search."""

from types import SimpleNamespace

from dogs_vs_cats.cluster import session
from dogs_vs_cats.cluster.proof import Proof
from dogs_vs_cats.cluster.session import Node
from dogs_vs_cats.cluster.team import Team, Work


def started(monkeypatch, gpu: bool = False, threads: int | None = None, **settings: int) -> str:
    """Return the nodes on which workers are started, in order.

    a has 4 processors; b has 2, and 2 GPUs; c lends none, as a head may.
    """
    nodes = [Node("a", "a", 4, 0), Node("b", "b", 2, 2), Node("c", "c", 0, 0)]
    monkeypatch.setattr(session, "nodes", lambda: nodes)
    team = Team(Work("test", object, None, None, str, "", gpu, threads, **settings), Proof({}, ""))

    def start(node: Node, workers: int) -> None:
        team._members.append(SimpleNamespace(node=node))

    monkeypatch.setattr(team, "_start", start)
    team._recruit()
    return "".join(member.node.id for member in team._members)


def test_nodes_get_a_worker_each_then_the_second_and_no_more_than_can_be_busy(monkeypatch):
    assert started(monkeypatch) == "ab"
    assert started(monkeypatch, threads=1) == "ababaa"
    assert started(monkeypatch, threads=1, most=3) == "aba"
    assert started(monkeypatch, threads=8, most=1) == "a"
    assert started(monkeypatch, gpu=True) == "bb"
