"""A real API server for the tests, started at its first use, once per run (with xdist: per worker) and CRD set.

With $DPF_TEST_KUBECONFIG the tests use an existing cluster: its DPF CRDs are kept, missing ones are created.
The tests in this folder, and all with the marker, run only with `-m apiserver`: building the server takes minutes.
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

from tests.apiserver.admin import Admin, ExternalCluster
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster
from tests.support.crd_sets import chosen_set, manifests_of

MARKER: Final = "apiserver"
USERS: Final = ("alice", "bob")
"""Users of every server that is started here, without permissions."""

_HERE: Final = Path(__file__).parent
_KUBECONFIG: Final = "DPF_TEST_KUBECONFIG"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}: needs a real API server (make test-apiserver)")


@pytest.hookimpl(tryfirst=True)  # before pytest's -m evaluates the markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(MARKER)
    if not config.option.markexpr:
        config.hook.pytest_deselected(items=[item for item in items if _is_marked(item)])
        items[:] = [item for item in items if not _is_marked(item)]


def _is_marked(item: pytest.Item) -> bool:
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
            external = os.environ.get(_KUBECONFIG)
            if external and self._started:
                pytest.skip(f"the cluster of ${_KUBECONFIG} has one set of CRDs")
            cluster = ExternalCluster(external) if external else self._start()
            self.portal.call(cluster.install_crds, manifests)
            self._started[crd_set] = cluster
        return self._started[crd_set]

    def _start(self) -> RealCluster:
        cluster = RealCluster(find(), users=USERS)
        return self._stack.enter_context(self.portal.wrap_async_context_manager(cluster))


@pytest.fixture(scope="session")
def clusters() -> Iterator[Clusters]:
    """The servers run in their own event loop, because each test has another one."""
    with start_blocking_portal() as portal, ExitStack() as stack:
        yield Clusters(portal, stack)


@pytest.fixture
def cluster(request: pytest.FixtureRequest, clusters: Clusters) -> Admin:
    """The cluster with the CRD set of the test's parameter, or of $DPF_TEST_CRDS.

    See tests.support.crd_sets.chosen_set.
    """
    return clusters[getattr(request, "param", None) or chosen_set()]


@pytest.fixture
def own_cluster(cluster: Admin) -> RealCluster:
    """The same cluster, for tests that need its users, certificates or log, which an external cluster does not have."""
    if not isinstance(cluster, RealCluster):
        pytest.skip(f"not with the cluster of ${_KUBECONFIG}")
    return cluster


@pytest.fixture
def namespace(cluster: Admin, clusters: Clusters) -> Iterator[str]:
    """A namespace on the same cluster that no other test uses."""
    name = f"dpf-test-{secrets.token_hex(4)}"
    clusters.portal.call(cluster.create_namespace, name)
    yield name
    clusters.portal.call(cluster.delete_namespace, name)
