"""DPFClient itself: its settings, and the connection that it opens and closes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Self

import anyio

from dpf_async._api.config import Kubeconfig, load
from dpf_async._api.resource import FIELD_MANAGER
from dpf_async._api.transport import USER_AGENT, Timeouts, Transport
from dpf_async._base.tasks import background_tasks
from dpf_async._client.hosts import HostMethods
from dpf_async._client.reports import ReportMethods
from dpf_async._client.sites import SiteMethods
from dpf_async._session.reflectors import SharedReflectors
from dpf_async._session.session import Session
from dpf_async._watch.policy import WatchPolicy
from dpf_async.models import known

if TYPE_CHECKING:
    from dpf_async._handshakes.claims import Claims


class DPFClient(HostMethods, SiteMethods, ReportMethods, anyio.AsyncContextManagerMixin):
    """A client for the DPF of one namespace. Use it with `async with`; leaving the block ends everything it started.

    Workers share one client: caches, watches and locks exist once per client, for any number of workers.

    Args:
        namespace: of DPF and its objects.
        kubeconfig: path, or content as a dict; None means $KUBECONFIG, else ~/.kube/config, else the files of a pod.
        context: context of the kubeconfig; None means its current one.
        allow_insecure: accept a kubeconfig with insecure-skip-tls-verify.
        allow_exec: run the exec plugin that a kubeconfig names; None means only if the kubeconfig is a file.
        policy: timing of watches.
        timeouts: of requests.
        field_manager: the name in managedFields and in the User-Agent.
        claims: claim a node before work on a request of DPF, so that among several processes one at a time works on
            it, and each request is answered once; None for a process that is the only worker.

    Entering it finds the server and the credentials, and sends no request. It raises UsageError if there is no
    kubeconfig or it cannot be used. A watch that the server permanently rejects ends the block with that error.
    """

    def __init__(
        self,
        *,
        namespace: str = known.DPF_NAMESPACE,
        kubeconfig: Kubeconfig | None = None,
        context: str | None = None,
        allow_insecure: bool = False,
        allow_exec: bool | None = None,
        policy: WatchPolicy | None = None,
        timeouts: Timeouts | None = None,
        field_manager: str = FIELD_MANAGER,
        claims: Claims | None = None,
    ) -> None:
        self.namespace: str = namespace
        self._kubeconfig = kubeconfig
        self._context = context
        self._allow_insecure = allow_insecure
        self._allow_exec = allow_exec
        self._policy = policy or WatchPolicy()
        self._timeouts = timeouts
        self._field_manager = field_manager
        self._claims = claims

    @property
    def claims(self) -> Claims | None:
        """The settings with which nodes are claimed before work on them; None if they are not claimed."""
        return self._claims

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        credentials = await load(
            self._kubeconfig,
            self._context,
            allow_insecure=self._allow_insecure,
            allow_exec=self._allow_exec,
        )
        async with (
            Transport(
                credentials, self._timeouts, user_agent=f"{USER_AGENT} ({self._field_manager})"
            ) as transport,
            background_tasks() as tasks,
            AsyncExitStack() as stack,
        ):
            reflectors = SharedReflectors(transport, tasks, self._policy)
            self._session = Session(
                transport,
                reflectors,
                stack,
                self.namespace,
                field_manager=self._field_manager,
                claims=self._claims,
            )
            try:
                yield self
            finally:
                self._session = None
