"""An exec plugin: the program that a kubeconfig names for the credentials of its user.

It is run here rather than by kubernetes_asyncio, which sets it no time, leaves it running when its caller is
cancelled, and takes only one of token and certificate. Nothing that a plugin prints gets into a message: it prints
credentials. Source: Kubernetes, "client-go credential plugins" (client.authentication.k8s.io); reliability 7.4.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import msgspec

from dpf_async._api.codec import UNREADABLE
from dpf_async._api.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anyio.abc import Process

TIME_LIMIT: Final = 30.0
"""Seconds a plugin may take: one that asks the network needs some, one that asks a person never ends."""

OUTPUT_LIMIT: Final = 2**20
"""Bytes of its answer; a token and two certificates are some kilobytes."""

_GROUP: Final = "client.authentication.k8s.io/"


class PluginFailed(Exception):
    """There are no credentials; the text says why, and repeats nothing that the plugin printed."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a plugin gave: a token, a certificate with its key (PEM), or both.

    Attributes:
        expires_at: when it says they stop being accepted; None if it does not say.
    """

    token: str = field(repr=False)
    certificate: str = field(repr=False)
    key: str = field(repr=False)
    expires_at: datetime | None


class _Status(msgspec.Struct, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class _Credential(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    status: _Status


async def run(settings: Mapping[str, Any], folder: Path) -> Given:
    """Run the plugin and read what it gives. Cancelled, it ends the plugin.

    Args:
        settings: the user's `exec` of the kubeconfig. Any: it is the user's YAML.
        folder: of the kubeconfig, from which a relative command is looked for.

    Raises:
        PluginFailed: it cannot be started, fails, takes too long, or gives nothing to use.
    """
    version, command = settings.get("apiVersion"), settings.get("command")
    if not isinstance(version, str) or not version.startswith(_GROUP) or not isinstance(command, str):
        raise PluginFailed(f"its exec plugin needs a command and an apiVersion of {_GROUP}v1")
    if os.sep in command:
        command = str((folder / command).absolute())
    arguments = [str(argument) for argument in settings.get("args") or ()]
    output = await _output(
        [command, *arguments], _environment(settings, version), settings.get("installHint")
    )
    try:
        answer = msgspec.json.decode(output, type=_Credential)
    except UNREADABLE:
        # The reason would repeat what was printed.
        raise PluginFailed("its exec plugin printed no ExecCredential") from None
    given = answer.status
    if answer.api_version != version:
        raise PluginFailed(
            f"its exec plugin answered in {printable(answer.api_version, 80)}, not in {printable(version, 80)}"
        )
    if bool(given.client_certificate_data) != bool(given.client_key_data):
        raise PluginFailed("its exec plugin gave a client certificate without its key, or a key alone")
    if not given.token and not given.client_certificate_data:
        raise PluginFailed("its exec plugin gave neither a token nor a client certificate")
    return Given(
        token=given.token or "",
        certificate=given.client_certificate_data or "",
        key=given.client_key_data or "",
        expires_at=given.expiration_timestamp,
    )


async def _output(command: list[str], environment: Mapping[str, str], hint: object) -> bytes:
    # A session of its own: the plugin may be a script, and what it started has to end with it.
    try:
        process = await anyio.open_process(
            command, stdin=DEVNULL, stderr=DEVNULL, env=environment, start_new_session=True
        )
    except (OSError, ValueError) as error:
        advice = f"; {printable(str(hint), 300)}" if hint else ""
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "no such command"
        raise PluginFailed(f"its exec plugin {command[0]} cannot be started: {reason}{advice}") from error
    async with process:
        ended = False
        try:
            with anyio.fail_after(TIME_LIMIT):
                output = await _read(process)
                code = await process.wait()
            ended = True
        except TimeoutError:
            raise PluginFailed(f"its exec plugin did not end within {TIME_LIMIT:g} s") from None
        finally:
            if not ended:
                # The plugin itself may have ended already; what it started and left holds its output open.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        raise PluginFailed("its exec plugin failed; run the plugin by hand to see why")
    return output


async def _read(process: Process) -> bytes:
    assert process.stdout is not None, "a process has the output it was given"  # noqa: S101
    output = bytearray()
    async for chunk in process.stdout:
        output += chunk
        if len(output) > OUTPUT_LIMIT:
            raise PluginFailed(f"its exec plugin printed more than {OUTPUT_LIMIT} bytes")
    return bytes(output)


def _environment(settings: Mapping[str, Any], version: str) -> dict[str, str]:
    environment = dict(os.environ)
    for variable in settings.get("env") or ():
        environment[str(variable["name"])] = str(variable["value"])
    # Nobody sits before a library: a plugin that would have to ask somebody shall fail instead.
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    return environment | {"KUBERNETES_EXEC_INFO": json.dumps(info)}
