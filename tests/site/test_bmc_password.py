"""The BMC password: the Secret is kept current, and the password is disclosed nowhere else."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

import dpf_async
from dpf_async import DPFClient, PasswordHealth
from dpf_async._site.bmc_password import REFRESH_INTERVAL, REWRITE_INTERVAL, Password
from dpf_async.errors import Forbidden, Invalid, NotFound, PasswordUnavailable, UsageError
from dpf_async.models import Secret, known
from dpf_async.sim.simulator import minimal_site
from tests.support.cluster import cluster
from tests.support.scripted import Exchange, Request, Script, Scripted, answering, page, refusing
from tests.support.virtual_time import virtual_time

SOURCE = Path(dpf_async.__file__).parent
PASSWORD = "Tr0ub4dor&3-of-the-BMC"
ENCODED = b64encode(PASSWORD.encode()).decode()


class Vault:
    """A fake of a vault that stores the password."""

    def __init__(self, *passwords: object) -> None:
        self.passwords = list(passwords)
        self.calls = 0

    async def password(self) -> str:
        """Return the next password, or the last one again; raise it if it is an exception."""
        self.calls += 1
        password = self.passwords.pop(0) if len(self.passwords) > 1 else self.passwords[0]
        if isinstance(password, Exception):
            raise password
        return password  # type: ignore[return-value]  # some tests use wrong types


def stored(request: Request) -> bytes | None:
    """The password in a request that writes the Secret."""
    return Secret.model_validate_json(request.body).value(known.BMC_PASSWORD_KEY)


async def accepting(exchange: Exchange) -> None:
    """Accept every write."""
    await exchange.answer(200, json.loads(exchange.request.body))


async def until(fact: Callable[[], bool]) -> None:
    """Wait until a predicate is true; the clock jumps."""
    while not fact():  # noqa: ASYNC110  a second takes no time on this clock
        await anyio.sleep(1)


# The Secret is kept current.


async def test_entering_the_block_writes_the_secret() -> None:
    async with cluster() as site, site.dpf.bmc_password(Vault("first").password) as kept:
        secret = await site.dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)

        assert secret.value(known.BMC_PASSWORD_KEY) == b"first"
        assert kept.health == PasswordHealth("current", "", 0, 1)


@virtual_time
async def test_a_new_password_is_written_after_the_next_interval() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = accepting
        began = anyio.current_time()
        with capture_logs() as logs:
            async with dpf.bmc_password(Vault("first", "second").password) as kept:
                await until(lambda: kept.health.writes == 2)

        assert [stored(request) for request in server.requests] == [b"first", b"second"]
        assert REFRESH_INTERVAL * 0.9 <= anyio.current_time() - began <= REFRESH_INTERVAL * 1.1 + 1
        assert [entry["event"] for entry in logs] == ["bmc_password_rotated"]


@virtual_time
async def test_an_unchanged_password_is_written_again_only_after_the_rewrite_interval() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = accepting
        vault = Vault("same")
        began = anyio.current_time()
        async with dpf.bmc_password(vault.password):
            await until(lambda: vault.calls == 8)
            assert len(server.requests) == 1

            await until(lambda: len(server.requests) == 2)

        waited = anyio.current_time() - began
        assert REWRITE_INTERVAL <= waited <= REWRITE_INTERVAL + 2 * REFRESH_INTERVAL
        assert {request.method for request in server.requests} == {"PATCH"}, "the Secret is never read"


async def test_refresh_writes_a_rotated_password_immediately() -> None:
    async with cluster() as site:
        async with site.dpf.bmc_password(Vault("first", "second").password, every=3600) as kept:
            await kept.refresh()

        secret = await site.dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)
        assert secret.value(known.BMC_PASSWORD_KEY) == b"second"


# Failures.


@virtual_time
async def test_a_provider_that_raises_is_called_again_and_the_secret_is_unchanged() -> None:
    broken = TimeoutError(f"no answer to a request for {PASSWORD}")
    async with Scripted() as server, server.client() as dpf:
        server.on_other = accepting
        vault, repaired = Vault("first", *[broken] * 5, "second"), anyio.Event()

        async def provider() -> str:
            if vault.calls == 6:
                await repaired.wait()
            return await vault.password()

        with capture_logs() as logs:
            async with dpf.bmc_password(provider) as kept:
                await until(lambda: kept.health.failures == 5)
                failing = kept.health
                repaired.set()
                await until(lambda: kept.health.writes == 2)

        assert failing.state == "failing"
        assert failing.reason == (
            "the provider of the BMC password raised TimeoutError; the Secret is unchanged"
        )
        assert kept.health == PasswordHealth("current", "", 0, 2)
        assert [stored(request) for request in server.requests] == [b"first", b"second"]
        assert [entry["event"] for entry in logs] == [
            *["bmc_password_not_refreshed"] * 5,
            "bmc_password_rotated",
            "bmc_password_current_again",
        ]
        assert PASSWORD not in repr(logs)


@virtual_time
async def test_entering_the_block_waits_until_the_vault_is_available() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = accepting

        async with dpf.bmc_password(Vault(OSError(), OSError(), "first").password) as kept:
            assert kept.health.writes == 1

        assert len(server.requests) == 1


@virtual_time
async def test_a_write_is_retried_after_the_time_that_the_server_requests() -> None:
    async with Scripted() as server, server.client() as dpf:
        began = anyio.current_time()
        server.on_other = refusing(503, "ServiceUnavailable", {"Retry-After": "100"})

        async def recover() -> None:
            await until(lambda: len(server.requests) == 2)
            server.on_other = accepting

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recover)
            async with dpf.bmc_password(Vault("first").password) as kept:
                assert kept.health.state == "current"

        assert anyio.current_time() - began >= 200


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refusing(403, "Forbidden"), Forbidden),
        (refusing(422, "Invalid"), Invalid),
        (refusing(404, "NotFound", details={"kind": "namespaces"}), NotFound),
    ],
    ids=["forbidden", "invalid", "no namespace"],
)
@virtual_time
async def test_a_rejected_write_ends_the_block(answer: Script, error: type[Exception]) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = accepting

        async def keep() -> None:
            async with dpf.bmc_password(Vault("first", PASSWORD).password):
                server.on_other = answer
                await anyio.sleep_forever()

        with pytest.raises(error, match=known.BMC_PASSWORD_SECRET) as caught:
            await keep()
        for text in everything_shown(caught.value):
            assert PASSWORD not in text
            assert ENCODED not in text


@pytest.mark.parametrize("wrong", ["", "  ", None, 7, b"bytes", "x" * 1025, "\ud800"])
async def test_an_invalid_password_is_rejected_without_a_request(wrong: object) -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match=r"the BMC password .*nothing was sent"):
            async with dpf.bmc_password(Vault(wrong).password):
                pytest.fail("the block was entered")
        if wrong is not None:
            with pytest.raises(UsageError, match=r"the BMC password .*nothing was sent"):
                await dpf.create_initialization_objects(minimal_site(), bmc_password=wrong)  # type: ignore[arg-type]

        assert server.requests == []


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_an_invalid_interval_is_rejected(every: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        DPFClient(kubeconfig={}).bmc_password(Vault("x").password, every=every)


async def test_a_failing_refresh_raises_and_a_later_one_succeeds() -> None:
    async with cluster() as site:
        vault = Vault("first", ValueError(PASSWORD), "third")
        async with site.dpf.bmc_password(vault.password, every=3600) as kept:
            with pytest.raises(PasswordUnavailable, match="raised ValueError"):
                await kept.refresh()

            await kept.refresh()

            assert kept.health == PasswordHealth("current", "", 0, 2)


async def test_leaving_the_block_cancels_a_provider_that_hangs() -> None:
    called = anyio.Event()

    async def hang_later() -> str:
        if not first:
            called.set()
            await anyio.sleep_forever()
        return first.pop()

    first = ["first"]
    async with cluster() as site:
        with anyio.fail_after(60):
            async with site.dpf.bmc_password(hang_later, every=0.01):
                await called.wait()


# The password is disclosed nowhere else.

Writer = Callable[[DPFClient, Scripted], Awaitable[object]]


async def defining(dpf: DPFClient, _server: Scripted) -> None:
    await dpf.create_initialization_objects(minimal_site(), bmc_password=PASSWORD)


async def refreshing(dpf: DPFClient, server: Scripted) -> None:
    broken, server.on_other = server.on_other, accepting
    async with dpf.bmc_password(Vault(PASSWORD + "!", PASSWORD).password) as kept:
        server.on_other = broken
        await kept.refresh()


async def refreshing_from_a_failing_provider(dpf: DPFClient, _server: Scripted) -> None:
    async with dpf.bmc_password(Vault("first", ValueError(PASSWORD)).password) as kept:
        await kept.refresh()


ECHOED = f'admission webhook "x" denied the request: password {PASSWORD} ({ENCODED}) is in a list'
ANSWERS: dict[str, Script] = {
    "forbidden": refusing(403, "Forbidden", message=ECHOED),
    "invalid": refusing(
        422,
        "Invalid",
        message=ECHOED,
        details={"causes": [{"field": "data", "message": ECHOED, "reason": "FieldValueInvalid"}]},
    ),
    "not JSON": page(200, f"<html>{PASSWORD}</html>".encode()),
    "a page": page(404, f"<html>{PASSWORD}</html>".encode()),
    "unreadable": answering(200, {"kind": "Secret", "metadata": {"name": 7}, "data": {"password": ENCODED}}),
    "undecodable": answering(200, {"kind": "Secret", "metadata": {"name": "x"}, "data": [ENCODED]}),
    "broken JSON": answering(200, f'{{"data": {{"password": "{ENCODED}"'.encode()),
}


async def hang_up(exchange: Exchange) -> None:
    exchange.reset()


def everything_shown(error: BaseException) -> Iterator[str]:
    """Everything that a log can show of an exception: its chain, notes, attributes, and locals of our frames."""
    seen: list[BaseException | None] = [error]
    for one in seen:
        if one is None:
            continue
        yield repr(one)
        yield str(one)
        yield repr(vars(one))
        yield from getattr(one, "__notes__", ())
        for follow in (one.__cause__, one.__context__):
            if follow is not None and follow not in seen:
                seen.append(follow)
        for frame in traceback.TracebackException.from_exception(one, capture_locals=True).stack:
            if Path(frame.filename).is_relative_to(SOURCE):
                yield f"{frame.name} {frame.line} {frame.locals}"


@pytest.mark.parametrize("write", [defining, refreshing])
@pytest.mark.parametrize("answer", [*ANSWERS, "no connection"])
async def test_no_failed_write_discloses_the_password(write: Writer, answer: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        usual = ANSWERS.get(answer, hang_up)

        async def answer_the_secret(exchange: Exchange) -> None:
            # The plan of a site succeeds; the write of its password fails.
            await (usual if exchange.request.plural == Secret.PLURAL else accepting)(exchange)

        server.on_other = answer_the_secret
        with capture_logs() as logs, pytest.raises(dpf_async.errors.DPFError) as caught:
            await write(dpf, server)

        for text in (repr(logs), *everything_shown(caught.value)):
            assert PASSWORD not in text
            assert ENCODED not in text


async def test_the_message_of_a_failing_provider_is_not_repeated() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = accepting
        with capture_logs() as logs, pytest.raises(PasswordUnavailable) as caught:
            await refreshing_from_a_failing_provider(dpf, server)

        for text in (repr(logs), *everything_shown(caught.value)):
            assert PASSWORD not in text


def test_no_representation_shows_the_password() -> None:
    password = Password(PASSWORD).usable()

    for text in (
        repr(password),
        str(password),
        f"{password}",
        repr(password.secret()),
        str(password.secret()),
    ):
        assert PASSWORD not in text
        assert ENCODED not in text
    with pytest.raises(UsageError):
        pickle.dumps(password)
    with pytest.raises(UsageError):
        copy.copy(password)


def test_digests_differ_by_password_and_by_key() -> None:
    one, same, other = (Password(text) for text in (PASSWORD, PASSWORD, PASSWORD + "!"))

    assert one.digest(b"key") == same.digest(b"key") != other.digest(b"key")
    assert one.digest(b"key") != one.digest(b"another process's key")
