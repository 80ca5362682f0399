"""Proofs: what differs between two machines."""

from dogs_vs_cats.cluster.proof import Proof


def test_what_differs_on_a_node_is_named():
    here = Proof({"packages": {"keras": "3.12"}, "code": "ab"}, "1")
    assert here.difference(here) is None
    other = Proof({"packages": {"keras": "3.9"}, "code": "ab"}, "2")
    assert here.difference(other) == "packages keras is 3.9 there and 3.12 here"
    assert "other last digits" in here.difference(Proof(here.made_from, "2"))
