"""An exec plugin: the program that a kubeconfig names for the credentials of its user.

This module runs it instead of kubernetes_asyncio, which has no time limit, leaves the plugin running when the caller
is cancelled, and uses only one of token and certificate. No message contains anything that a plugin printed: it
prints credentials. Source: Kubernetes, "client-go credential plugins" (client.authentication.k8s.io);
docs/watching.md#kubeconfig.
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
"""Seconds that a plugin may take (chosen): one that requests a token over the network needs a few, one that prompts a
user never ends."""

OUTPUT_LIMIT: Final = 2**20
"""Bytes of its output (chosen); a token and two certificates are some kilobytes."""

_GROUP: Final = "client.authentication.k8s.io/"


class PluginFailed(Exception):
    """The plugin returned no credentials; the message has the reason, and nothing that the plugin printed."""


@dataclass(frozen=True, slots=True)
class PluginCredentials:
    """The credentials of a plugin: a token, a certificate with its key (PEM), or both.

    Attributes:
        expires_at: when they expire; None if the plugin returned no expiration time.
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


async def run(settings: Mapping[str, Any], folder: Path) -> PluginCredentials:
    """Run the plugin and decode its output. On cancellation the plugin is killed.

    Args:
        settings: `exec` of the user in the kubeconfig. Any: it is the user's YAML.
        folder: of the kubeconfig; a relative command is relative to it.

    Raises:
        PluginFailed: it cannot be started, fails, exceeds TIME_LIMIT, or prints no usable credentials.
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
        credential = msgspec.json.decode(output, type=_Credential)
    except UNREADABLE:
        # The error would repeat what the plugin printed.
        raise PluginFailed("its exec plugin printed no ExecCredential") from None
    status = credential.status
    if credential.api_version != version:
        raise PluginFailed(
            f"its exec plugin answered in {printable(credential.api_version, 80)}, not in {printable(version, 80)}"
        )
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise PluginFailed("its exec plugin returned only one of a client certificate and its key")
    if not status.token and not status.client_certificate_data:
        raise PluginFailed("its exec plugin returned neither a token nor a client certificate")
    return PluginCredentials(
        token=status.token or "",
        certificate=status.client_certificate_data or "",
        key=status.client_key_data or "",
        expires_at=status.expiration_timestamp,
    )


async def _output(command: list[str], environment: Mapping[str, str], hint: object) -> bytes:
    # In its own session: the plugin may be a script, and the processes that it started have to end with it.
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
                # The plugin may have exited already, while a process that it started keeps its output open.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        raise PluginFailed(f"its exec plugin exited with status {code}; run it in a terminal to see why")
    return output


async def _read(process: Process) -> bytes:
    assert process.stdout is not None, "stdout is a pipe"  # noqa: S101
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
    # A library has no terminal: a plugin that would prompt a user has to fail instead.
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    return environment | {"KUBERNETES_EXEC_INFO": json.dumps(info)}
