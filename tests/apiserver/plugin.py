"""A real API server for the tests, started once per run (with xdist: per worker) and CRD set, when one asks for it.

$DPF_TEST_KUBECONFIG has them use a cluster that is there already: its DPF CRDs stay, those it lacks are created.
The tests in this folder, and all that have the marker, run with `-m apiserver` only: building the server takes minutes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.apiserver.admin import Admin, GivenCluster
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster
from tests.support.crd_sets import chosen_set, manifests_of

MARKER: Final = "apiserver"
USERS: Final = ("alice", "bob")
"""Plain users of every server that is started here; nothing is granted to them."""

_HERE: Final = Path(__file__).parent
_GIVEN: Final = "DPF_TEST_KUBECONFIG"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: needs a real API server (make test-apiserver)")


@pytest.hookimpl(tryfirst=True)  # before pytest's own -m looks at the markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(MARKER)
    if not config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if _is_ours(item)])
        items[:] = [item for item in items if not _is_ours(item)]


def _is_ours(item: pytest.Item) -> bool:
    return item.get_closest_marker(MARKER) is not None


class Clusters:
    """The clusters of this test run, by CRD set: "generated" from the models, or "upstream"."""

    def __init__(self, portal: BlockingPortal, stack: ExitStack) -> None:
        self.portal = portal
        self._stack = stack
        self._started: dict[str, Admin] = {}

    def __getitem__(self, crd_set: str) -> Admin:
        if crd_set not in self._started:
            manifests = manifests_of(crd_set)
            given = os.environ.get(_GIVEN)
            if given and self._started:
                pytest.skip(f"the cluster of ${_GIVEN} has one set of CRDs")
            cluster = GivenCluster(given) if given else self._start()
            self.portal.call(cluster.install_crds, manifests)
            self._started[crd_set] = cluster
        return self._started[crd_set]

    def _start(self) -> RealCluster:
        cluster = RealCluster(find(), users=USERS)
        return self._stack.enter_context(self.portal.wrap_async_context_manager(cluster))


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    """Servers live in an event loop of their own, since each test has another one."""
    with start_blocking_portal() as portal, ExitStack() as stack:
        yield Clusters(portal, stack)


@pytest.fixture
def cluster(request: pytest.FixtureRequest, clusters: Clusters) -> Admin:
    """The cluster with the CRD set that the test is parametrized with, else with that of $DPF_TEST_CRDS.

    See tests.support.crd_sets.chosen_set.
    """
    return clusters[getattr(request, "param", None) or chosen_set()]


@pytest.fixture
def own_cluster(cluster: Admin) -> RealCluster:
    """The same, for tests that need what only a server of ours has: its users, its certificates, its log."""
    if not isinstance(cluster, RealCluster):
        pytest.skip(f"not with the cluster of ${_GIVEN}")
    return cluster


@pytest.fixture
def namespace(cluster: Admin, clusters: Clusters) -> Iterator[str]:
    """A namespace that nobody else uses, on the same cluster."""
    name = f"dpf-test-{secrets.token_hex(4)}"
    clusters.portal.call(cluster.create_namespace, name)
    yield name
    clusters.portal.call(cluster.delete_namespace, name)
