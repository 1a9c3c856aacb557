"""The flows accept a DPFClient. mypy checks the assignment; the test checks that the names exist at run time."""

from __future__ import annotations

from dpf_async import DPFClient
from dpf_async._session.client import Client


def test_the_client_has_every_method_of_the_protocol_of_the_flows() -> None:
    client: Client = DPFClient()

    methods = [name for name in vars(Client) if not name.startswith("_")]

    assert {"resource", "node", "dpu", "handle"} <= set(methods)
    assert [name for name in methods if not callable(getattr(type(client), name, None))] == []
