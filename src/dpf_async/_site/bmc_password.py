"""The password of the DPUs' BMCs: write it into the Secret that DPF reads, and keep the Secret current.

DPF reads the password when it initializes a DPUDevice; afterwards it authenticates to the BMC with a certificate
(docs/dpf/bmc.md#when-read). This module never reads the Secret, so it needs no permission to
(docs/watching.md#permissions). To detect a change it keeps a keyed digest of the password that it wrote last. The
password itself is in no log, message or repr, and in no frame of a traceback that leaves this module.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import anyio

from dpf_async._base.tasks import background_tasks
from dpf_async._log import log
from dpf_async._site import manifests
from dpf_async._watch.backoff import Backoff
from dpf_async.errors import (
    APIError,
    ConnectionFailed,
    DPFError,
    Forbidden,
    PasswordUnavailable,
    ServerError,
    TooManyRequests,
    Unauthorized,
    UsageError,
)
from dpf_async.models import Secret, known

if TYPE_CHECKING:
    from dpf_async._api.resource import ResourceClient

PasswordProvider = Callable[[], Awaitable[str]]
"""Returns the current password, for example from a vault. Any exception means that it is not available now."""

REFRESH_INTERVAL: Final = 60.0
"""Seconds between two calls of the provider. Source: Carbide's own interval (docs/dpf/bmc.md#carbide-refresh)."""

REWRITE_INTERVAL: Final = 600.0
"""Seconds after which an unchanged password is written again, which restores a Secret that another client deleted or
overwrote (chosen; applying an unchanged object changes nothing on the server)."""

_BASE: Final = 1.0
_CAP: Final = 60.0
"""Seconds of backoff, first and maximum (chosen: after a restart of the vault the next call is within a minute)."""

_LIMIT: Final = 1024
"""Characters; chosen: far above what any BMC accepts, and far below what a Secret can contain."""

_TRANSIENT: Final = (PasswordUnavailable, ConnectionFailed, ServerError, TooManyRequests, Unauthorized)
"""Failures that end without a change of configuration, or when a token is renewed; the others need a person."""


class Password:
    """A password that is not shown by repr, str or pickle. It may be invalid: `usable` checks it."""

    __slots__ = ("_bytes", "_problem")

    def __init__(self, password: object) -> None:
        # Raises nothing: the password would be in the frame.
        self._problem = _problem(password)
        self._bytes = b"" if self._problem else str(password).encode()

    def usable(self) -> Self:
        """Return self if a BMC could accept this password.

        Raises:
            UsageError: it is not text, is empty, or is too long. The message does not contain it.
        """
        if self._problem:
            raise UsageError(f"the BMC password {self._problem}; nothing was sent")
        return self

    def secret(self) -> Secret:
        """The Secret that DPF reads."""
        return manifests.bmc_secret(self._bytes)

    def digest(self, key: bytes) -> bytes:
        """A keyed hash, by which two passwords are compared without storing either."""
        return hmac.digest(key, self._bytes, "sha256")

    def is_in(self, text: str) -> bool:
        """Whether a text contains the password, in plain or as a Secret encodes it."""
        return self._bytes.decode() in text or Secret.encoded(self._bytes) in text

    def __repr__(self) -> str:
        return "<password>"

    def __reduce__(self) -> str | tuple[Any, ...]:  # Any: pickle's signature
        raise UsageError("a password is not pickled")


def _problem(password: object) -> str:
    """What is invalid about a password, without repeating it; empty if it is valid."""
    if not isinstance(password, str):
        return f"is of type {type(password).__name__}, not str"
    if not password.strip():
        return "is empty"
    if len(password) > _LIMIT:
        return f"has more than {_LIMIT} characters"
    try:
        password.encode()
    except UnicodeEncodeError:
        return "has characters that UTF-8 cannot encode"
    return ""


async def write_password(to: ResourceClient[Secret], password: Password) -> None:
    """Create the Secret, or change its content.

    Raises:
        Forbidden: the client lacks "create" or "patch" on this one Secret (deploy/rbac.yaml).
        APIError, ConnectionFailed: the write failed, or its outcome is unknown.
    """
    try:
        # Forced: the correct password does not depend on which field manager wrote the Secret before.
        await to.apply(password.secret(), force=True)
    except DPFError as error:
        failure = _without_password(error, password)
    else:
        return
    # Raised without cause and frames: the frames of the request have its body in a local variable.
    raise failure.with_traceback(None)


def _without_password(error: DPFError, password: Password) -> DPFError:
    error.__cause__ = error.__context__ = None
    texts = [str(error), *getattr(error, "__notes__", ())]
    if isinstance(error, APIError):
        texts += [error.server_message, *map(str, error.causes)]
    if not any(password.is_in(text) for text in texts):
        return error
    # An admission webhook can repeat the rejected value in its message.
    message = f"PATCH Secret {known.BMC_PASSWORD_SECRET}: rejected with a message that contains the password"
    if not isinstance(error, APIError):
        return type(error)(message)
    cleared = type(error)(
        message,
        status=error.status,
        reason="" if password.is_in(error.reason) else error.reason,
        method=error.method,
        path=error.path,
        object=error.object,
        retry_after=error.retry_after,
    )
    if isinstance(error, Forbidden) and isinstance(cleared, Forbidden):
        cleared.verb, cleared.resource, cleared.namespace = error.verb, error.resource, error.namespace
    return cleared


@dataclass(frozen=True, slots=True)
class PasswordHealth:
    """Whether the Secret is current.

    Attributes:
        state: "current": the Secret has the password that the provider returned last; "failing": it may be outdated;
            the write is retried.
        reason: what fails, without the password; empty if nothing does.
        failures: consecutive failures.
        writes: how often the Secret was written in this scope.
    """

    state: Literal["current", "failing"] = "failing"
    reason: str = "not written yet"
    failures: int = 0
    writes: int = 0


class BMCPassword(anyio.AsyncContextManagerMixin):
    """Keeps the Secret with the BMC password current while the block runs; see DPFClient.bmc_password.

    Args:
        secrets_client: returns the client for Secrets, once the DPFClient is entered.
        provider: returns the password.
        every: seconds between two calls of the provider.
        rng: for the jitter of the interval and the backoff.
    """

    def __init__(
        self,
        secrets_client: Callable[[], ResourceClient[Secret]],
        provider: PasswordProvider,
        *,
        every: float = REFRESH_INTERVAL,
        rng: Random | None = None,
    ) -> None:
        if not every > 0:
            raise UsageError(f"every must be a number of seconds above 0, not {every!r}")
        self._secrets_client = secrets_client
        self._provider = provider
        self._every = every
        self._rng = rng or Random()  # noqa: S311  jitter
        self._backoff = Backoff(base=_BASE, cap=_CAP, reset=0.0, jitter=self._rng)
        self._lock = anyio.Lock()
        self._key = secrets.token_bytes(32)
        self._last: bytes | None = None
        self._last_written = 0.0
        self._health = PasswordHealth()

    @property
    def health(self) -> PasswordHealth:
        """Whether the Secret is current now."""
        return self._health

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        await self._until_current()
        async with background_tasks() as tasks:
            tasks.start_soon(self._keep)
            yield self

    async def refresh(self) -> None:
        """Call the provider now, and return when the Secret has its password; to be called after a rotation.

        Raises:
            PasswordUnavailable: the provider raised an exception.
            UsageError: it returned an invalid password.
            APIError, ConnectionFailed: the Secret could not be written. The scope remains active and retries.
        """
        async with self._lock:
            await self._refresh_once()

    async def _keep(self) -> None:
        while True:
            # Jitter, so that replicas that started together do not stay synchronized.
            await anyio.sleep(self._every * self._rng.uniform(0.9, 1.1))
            await self._until_current()

    async def _until_current(self) -> None:
        while True:
            async with self._lock:
                try:
                    await self._refresh_once()
                except _TRANSIENT as error:
                    at_least = error.retry_after if isinstance(error, APIError) else 0.0
                else:
                    return
            # Applies also on entry: a worker that starts before the vault is available waits for it.
            await anyio.sleep(self._backoff.next(at_least=at_least))

    async def _refresh_once(self) -> None:
        try:
            password = await self._fetch()
            digest = password.digest(self._key)
            now = anyio.current_time()
            same = self._last is not None and hmac.compare_digest(digest, self._last)
            if same and now - self._last_written < REWRITE_INTERVAL:
                self._succeeded(self._health.writes)
                return
            await write_password(self._secrets_client(), password)
        except DPFError as error:
            self._failed(str(error))
            raise
        if self._last is not None and not same:
            log.info("bmc_password_rotated", secret=known.BMC_PASSWORD_SECRET)
        self._last, self._last_written = digest, now
        self._succeeded(self._health.writes + 1)

    async def _fetch(self) -> Password:
        kind = ""
        try:
            password = Password(await self._provider())
        except Exception as error:  # noqa: BLE001  the caller's code may raise anything
            kind = type(error).__name__
        if kind:
            # Only the type: the message of a vault's client may contain the password.
            raise PasswordUnavailable(
                f"the provider of the BMC password raised {kind}; the Secret is unchanged"
            )
        return password.usable()

    def _succeeded(self, writes: int) -> None:
        if self._health.failures:
            log.info("bmc_password_current_again", after=self._health.failures)
        self._backoff.attempt = 0
        self._health = PasswordHealth("current", "", 0, writes)

    def _failed(self, reason: str) -> None:
        failures = self._health.failures + 1
        self._health = replace(self._health, state="failing", reason=reason, failures=failures)
        log.warning("bmc_password_not_refreshed", reason=reason, failures=failures)
