"""Where the API server is and who we are to it: a kubeconfig, or the files of a pod.

The only module that names kubernetes_asyncio, and only inside functions: importing it costs 325 ms and 72 MB (peers 4),
which nobody should pay who just builds models. It reads kubeconfigs, runs exec plugins and re-reads token files for us;
the session is ours (transport), because its own follows redirects and obeys the environment (reliability 7.3).
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from dpf_async._api.text import printable
from dpf_async._log import log
from dpf_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes_asyncio.client import Configuration


Kubeconfig = str | os.PathLike[str] | dict[str, Any]
"""A path, or the content of a kubeconfig. Any: it is the user's YAML."""

_POD_ENVIRONMENT: Final = "KUBERNETES_SERVICE_HOST"
_DEFAULT_PATH: Final = "~/.kube/config"
_PLUGIN_FAILED: Final = "exec: process returned"
"""How kubernetes_asyncio begins what it says of a plugin that failed; the plugin's stderr follows."""


class Credentials:
    """The address of one API server, and headers that it accepts; renewed when it stops accepting them.

    Built by `load`.
    """

    def __init__(self, source: _Source, configuration: Configuration) -> None:
        self._source = source
        self._configuration = configuration
        self._renewing = anyio.Lock()
        self.server = _host(configuration).rstrip("/")
        self.proxy: str | None = configuration.proxy
        self.server_name: str | None = configuration.tls_server_name
        self.tls: ssl.SSLContext | None = _tls(configuration) if self.server.startswith("https") else None

    @property
    def origin(self) -> str:
        """Where the credentials came from, in words, for messages."""
        return self._source.words

    async def headers(self) -> dict[str, str]:
        """The headers that authenticate one request; a token file is re-read when it is due (once a minute).

        A token file that cannot be read just now leaves the token that was read before: it may well be valid.
        """
        try:
            setting = (await self._configuration.auth_settings()).get("BearerToken") or {}
            token = setting.get("value")
        except Exception as error:  # noqa: BLE001  whatever reading a file or the loader's checks raise
            log.warning("token_not_read", source=self._source.words, reason=printable(str(error), 300))
            token = self._configuration.api_key.get("BearerToken")
        # Token files end in a line feed, which no header may contain.
        return {"authorization": token.strip()} if token else {}

    async def renew(self, rejected: Mapping[str, str]) -> bool:
        """Read the credentials again from where they came; True if they are other ones than those rejected.

        Called when the server answered 401: files are re-read and exec plugins run again, once for all the requests
        that were rejected at the same time.

        Raises:
            UsageError: they cannot be read any more.
        """
        async with self._renewing:
            if await self.headers() == rejected:
                self._configuration = await self._source.read()
            return await self.headers() != rejected


async def load(
    kubeconfig: Kubeconfig | None, context: str | None, *, allow_insecure: bool = False
) -> Credentials:
    """Find out where the API server is and who we are to it.

    Args:
        kubeconfig: path or content; None means $KUBECONFIG, else ~/.kube/config, else the files of a pod.
        context: context of the kubeconfig; None means its current one.
        allow_insecure: accept a kubeconfig that says insecure-skip-tls-verify.

    Raises:
        UsageError: there is none, it cannot be read, or it wants TLS unverified and that was not allowed.
    """
    source = _find(kubeconfig, context)
    configuration = await source.read()
    if _host(configuration).startswith("https") and not configuration.verify_ssl:
        if not allow_insecure:
            raise UsageError(
                f"{source.words} says insecure-skip-tls-verify: anybody between here and {configuration.host} could "
                "pose as the API server; put its certificate-authority there, or pass allow_insecure=True"
            )
        log.warning("tls_verification_skipped", server=configuration.host, source=source.words)
    return Credentials(source, configuration)


class _Source:
    """Something that credentials can be read from, again and again."""

    words: str

    async def read(self) -> Configuration:
        raise NotImplementedError


class _KubeconfigFile(_Source):
    def __init__(self, path: str, context: str | None, *, named: bool) -> None:
        self.words = f"kubeconfig {path}"
        self._path = path
        self._context = context
        self._named = named

    async def read(self) -> Configuration:
        if not any(_is_file(part) for part in self._path.split(os.pathsep) if part):
            where = "" if self._named else " (nothing else was named)"
            raise UsageError(
                f"{self.words} does not exist{where}: name one with kubeconfig= or $KUBECONFIG, or run in a pod"
            )
        from kubernetes_asyncio.config import load_kube_config  # noqa: PLC0415  see the top

        configuration = _configuration()
        try:
            await load_kube_config(
                self._path, self._context, client_configuration=configuration, persist_config=False
            )
        except Exception as error:  # noqa: BLE001  see _unreadable
            raise _unreadable(self.words, self._context, error) from _presentable(error)
        return configuration


class _KubeconfigContent(_Source):
    def __init__(self, content: Mapping[str, Any], context: str | None) -> None:
        self.words = "the kubeconfig given"
        self._content = dict(content)
        self._context = context

    async def read(self) -> Configuration:
        from kubernetes_asyncio.config import load_kube_config_from_dict  # noqa: PLC0415  see the top

        configuration = _configuration()
        try:
            await load_kube_config_from_dict(self._content, self._context, client_configuration=configuration)
        except Exception as error:  # noqa: BLE001  see _unreadable
            raise _unreadable(self.words, self._context, error) from _presentable(error)
        return configuration


class _Pod(_Source):
    words = "the service account of this pod"

    async def read(self) -> Configuration:
        from kubernetes_asyncio.config import ConfigException, load_incluster_config  # noqa: PLC0415  see the top

        configuration = _configuration()
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise _unreadable(self.words, None, error) from error
        return configuration


def _find(kubeconfig: Kubeconfig | None, context: str | None) -> _Source:
    if isinstance(kubeconfig, dict):
        return _KubeconfigContent(kubeconfig, context)
    if kubeconfig is not None:
        return _KubeconfigFile(os.fspath(kubeconfig), context, named=True)
    if named := os.environ.get("KUBECONFIG"):
        return _KubeconfigFile(named, context, named=True)
    if _POD_ENVIRONMENT in os.environ and not _is_file(_DEFAULT_PATH):
        return _Pod()
    return _KubeconfigFile(_DEFAULT_PATH, context, named=False)


def _host(configuration: Configuration) -> str:
    if not configuration.host:
        raise UsageError("the kubeconfig names no server")
    return str(configuration.host)


def _is_file(path: str) -> bool:
    return Path(path).expanduser().is_file()


def _configuration() -> Configuration:
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top

    logging.getLogger("kubernetes_asyncio.config.kube_config").addFilter(_without_plugin_output)
    return Configuration()


def _unreadable(words: str, context: str | None, error: Exception) -> UsageError:
    # Whatever a damaged kubeconfig makes the loader raise (KeyError, AssertionError, YAML errors, OSError of an exec
    # plugin) is one thing to the user.
    import yaml  # noqa: PLC0415  see the top

    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        first_line = f"it is not YAML, line {error.problem_mark.line + 1}: {error.problem}"
    if _presentable(error) is None:
        first_line = "its exec plugin failed; run the plugin by hand to see why"
    wanted = f" (context {context})" if context else ""
    return UsageError(f"{words}{wanted} cannot be used: {printable(first_line, 300)}")


def _presentable(error: Exception) -> Exception | None:
    """The error, unless it repeats an exec plugin's stderr: plugins print tokens there (reliability 7.4)."""
    return None if str(error).startswith(_PLUGIN_FAILED) else error


class _WithoutPluginOutput(logging.Filter):
    """Keeps the same out of kubernetes_asyncio's own log."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_PLUGIN_FAILED)


_without_plugin_output: Final = _WithoutPluginOutput()


def _tls(configuration: Configuration) -> ssl.SSLContext:
    try:
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificates for {configuration.host} cannot be used: {error}") from error
    if not configuration.verify_ssl:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    return tls
