"""The password of the DPUs' BMCs: written into the Secret that DPF reads, and kept what its owner says it is.

DPF reads it when it initialises a DPUDevice; from then on it knows the BMC by certificate (dpf-facts 9). The Secret is
never read here: whoever may write it need not be allowed to (reliability 7.1). What we wrote last is remembered as a
keyed digest. The password itself is in no log, no message, no repr and no frame of a traceback that leaves this module.
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
"""Tells the password as it is now, from wherever it is kept. What it raises means that it cannot for now."""

EVERY: Final = 60.0
"""Seconds between two questions to the provider. Source: Carbide's own (dpf-facts 9)."""

ANYWAY: Final = 600.0
"""Seconds after which the same password is written once more: a Secret that somebody deleted or overwrote is healed
(chosen; the write of what is there already changes nothing on the server)."""

_BASE: Final = 1.0
_CAP: Final = 60.0
"""Seconds of backoff, the first step and the most (chosen: a vault that restarts is asked within the minute)."""

_LIMIT: Final = 1024
"""Characters; chosen: far more than any BMC takes, and far less than what a Secret could hold."""

_PASSING: Final = (PasswordUnavailable, ConnectionFailed, ServerError, TooManyRequests, Unauthorized)
"""Failures that pass by themselves, or when a token is renewed; every other one is for a person."""


class Password:
    """A password, which shows itself in no repr, no text and no pickle. It may be none at all; ask `usable`."""

    __slots__ = ("_bytes", "_problem")

    def __init__(self, password: object) -> None:
        # Nothing is raised here: the password would be in the frame.
        self._problem = _problem(password)
        self._bytes = b"" if self._problem else str(password).encode()

    def usable(self) -> Self:
        """Itself, if a BMC could take it.

        Raises:
            UsageError: it is no text, or empty, or far too long. It is not in the message.
        """
        if self._problem:
            raise UsageError(f"the BMC password {self._problem}; nothing was sent")
        return self

    def secret(self) -> Secret:
        """The Secret that DPF reads."""
        return manifests.bmc_secret(self._bytes)

    def digest(self, key: bytes) -> bytes:
        """What tells it from another without being it."""
        return hmac.digest(key, self._bytes, "sha256")

    def is_in(self, text: str) -> bool:
        """Whether it is said in a text, as it is or as a Secret encodes it."""
        return self._bytes.decode() in text or Secret.encoded(self._bytes) in text

    def __repr__(self) -> str:
        return "<password>"

    def __reduce__(self) -> str | tuple[Any, ...]:  # Any: pickle's signature
        raise UsageError("a password is not pickled")


def _problem(password: object) -> str:
    """What is wrong with it, in words that do not have it in them."""
    if not isinstance(password, str):
        return f"is of type {type(password).__name__}, not str"
    if not password.strip():
        return "is empty"
    if len(password) > _LIMIT:
        return f"has more than {_LIMIT} characters"
    try:
        password.encode()
    except UnicodeEncodeError:
        return "has characters that UTF-8 has not"
    return ""


async def write_password(to: ResourceClient[Secret], password: Password) -> None:
    """Create the Secret or change what is in it.

    Raises:
        Forbidden: we may not; it takes "create" and "patch" on this one Secret (deploy/rbac.yaml).
        APIError, ConnectionFailed: it could not be written, or it is not known whether it was.
    """
    try:
        # Whoever else wrote it: what BMCs take is not a matter of field managers.
        await to.apply(password.secret(), force=True)
    except DPFError as error:
        failure = _cleared(error, password)
    else:
        return
    # Raised here, with neither cause nor frames: in those of the request, its body is a local variable.
    raise failure.with_traceback(None)


def _cleared(error: DPFError, password: Password) -> DPFError:
    error.__cause__ = error.__context__ = None
    told = [str(error), *getattr(error, "__notes__", ())]
    if isinstance(error, APIError):
        told += [error.server_message, *map(str, error.causes)]
    if not any(password.is_in(text) for text in told):
        return error
    # A webhook that repeats what it refuses.
    message = f"PATCH Secret {known.BMC_PASSWORD_SECRET}: refused with words that have the password in them"
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
    """How the Secret is kept.

    Attributes:
        state: "current": it has what the provider said last; "failing": it may not, and is tried again.
        reason: what fails, without the password; empty if nothing does.
        failures: how often in a row it failed.
        writes: how often the Secret was written in this scope.
    """

    state: Literal["current", "failing"] = "failing"
    reason: str = "not written yet"
    failures: int = 0
    writes: int = 0


class BMCPassword(anyio.AsyncContextManagerMixin):
    """Keeps the Secret with the BMC password what the provider says, while the block runs. See DPFClient.bmc_password.

    Args:
        to: where it is written.
        provider: tells the password.
        every: seconds between two questions.
        chance: for the jitter of the backoff.
    """

    def __init__(
        self,
        to: Callable[[], ResourceClient[Secret]],
        provider: PasswordProvider,
        *,
        every: float = EVERY,
        chance: Random | None = None,
    ) -> None:
        if not every > 0:
            raise UsageError(f"every must be a number of seconds above 0, not {every!r}")
        self._to = to
        self._provider = provider
        self._every = every
        self._chance = chance or Random()  # noqa: S311  jitter
        self._backoff = Backoff(base=_BASE, cap=_CAP, reset=0.0, jitter=self._chance)
        self._one_at_a_time = anyio.Lock()
        self._key = secrets.token_bytes(32)
        self._last: bytes | None = None
        self._last_written = 0.0
        self._health = PasswordHealth()

    @property
    def health(self) -> PasswordHealth:
        """How the Secret is kept, at this moment."""
        return self._health

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        await self._until_current()
        async with background_tasks() as tasks:
            tasks.start_soon(self._keep)
            yield self

    async def refresh(self) -> None:
        """Ask the provider now, and return when the Secret has what it says: for whoever has just rotated it.

        Raises:
            PasswordUnavailable: the provider could not tell it.
            UsageError: what it told is no password.
            APIError, ConnectionFailed: it could not be written. The scope goes on, and tries again.
        """
        async with self._one_at_a_time:
            await self._once()

    async def _keep(self) -> None:
        while True:
            # Replicas that started together do not ask together for ever.
            await anyio.sleep(self._every * self._chance.uniform(0.9, 1.1))
            await self._until_current()

    async def _until_current(self) -> None:
        while True:
            async with self._one_at_a_time:
                try:
                    await self._once()
                except _PASSING as error:
                    at_least = error.retry_after if isinstance(error, APIError) else 0.0
                else:
                    return
            # Also before a scope is entered: a worker that starts while the vault does waits for it.
            await anyio.sleep(self._backoff.next(at_least=at_least))

    async def _once(self) -> None:
        try:
            password = await self._told()
            digest = password.digest(self._key)
            now = anyio.current_time()
            same = self._last is not None and hmac.compare_digest(digest, self._last)
            if same and now - self._last_written < ANYWAY:
                self._succeeded(self._health.writes)
                return
            await write_password(self._to(), password)
        except DPFError as error:
            self._failed(str(error))
            raise
        if self._last is not None and not same:
            log.info("bmc_password_rotated", secret=known.BMC_PASSWORD_SECRET)
        self._last, self._last_written = digest, now
        self._succeeded(self._health.writes + 1)

    async def _told(self) -> Password:
        kind = ""
        try:
            password = Password(await self._provider())
        except Exception as error:  # noqa: BLE001  the caller's code: whatever it raises, it has no password for us
            kind = type(error).__name__
        if kind:
            # Its type and no more: what a vault's client says may have in it what it was asked for.
            raise PasswordUnavailable(
                f"the provider of the BMC password raised {kind}; the Secret stays as it is"
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
