"""Where the API server is and who we are to it: a kubeconfig, or the files of a pod.

The only module that names kubernetes_asyncio, and only inside functions: importing it costs 325 ms and 72 MB (peers 4),
which nobody should pay who just builds models. It reads kubeconfigs and re-reads a pod's token for us; the session is
ours (transport), because its own follows redirects and obeys the environment (reliability 7.3), and so is what runs
exec plugins (plugin).

Nothing is read once and for all: tokens, certificates and authorities are replaced while a client lives, and what was
read last is used until the server, or the server's certificate, refuses it.
"""

from __future__ import annotations

import copy
import hashlib
import os
import ssl
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio

from dpf_async._api import plugin
from dpf_async._api.text import printable
from dpf_async._log import log
from dpf_async.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubernetes_asyncio.client import Configuration


Kubeconfig = str | os.PathLike[str] | dict[str, Any]
"""A path, or the content of a kubeconfig. Any: it is the user's YAML."""

_POD_ENVIRONMENT: Final = "KUBERNETES_SERVICE_HOST"
_DEFAULT_PATH: Final = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Proof:
    """How one request shows who we are, and what the server has to show; two are equal if they are the same proof.

    Attributes:
        headers: that authenticate it.
        tls: has the client certificate, and the authority to trust; None for plain http.
    """

    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None


class Credentials:
    """The address of one API server, and what it accepts; renewed when it stops accepting that.

    Built by `load`.

    Attributes:
        server: its URL.
        proxy: to go through.
        server_name: that its certificate has to be for, where that is not the URL's.
        trouble: why they could not be read again, the last time that was tried; empty if they could.
    """

    def __init__(self, source: _Source, found: _Found) -> None:
        configuration = found.configuration
        self.server = _host(configuration).rstrip("/")
        self.proxy: str | None = configuration.proxy
        self.server_name: str | None = configuration.tls_server_name
        self.trouble = ""
        self._source = source
        self._renewing = anyio.Lock()
        self._readings = 0
        self._expires_at: datetime | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_from = b""
        self._adopt(found)

    @property
    def origin(self) -> str:
        """Where the credentials came from, in words, for messages."""
        return self._source.words

    async def proof(self) -> Proof:
        """What to show with one request; a pod's token file is re-read when it is due (once a minute).

        What an exec plugin gave is renewed when it has expired. What cannot be read just now leaves what was read
        before: it may well be valid.
        """
        if self._expires_at is not None and datetime.now(UTC) >= self._expires_at:
            await self.renew(await self._proof())
        return await self._proof()

    async def renew(self, rejected: Proof) -> bool:
        """Read the credentials again from where they came; True if they are other ones than those rejected.

        Called when the server did not accept them, or its certificate was not accepted: files are re-read and exec
        plugins run again, once for all the requests that were rejected at the same time. What cannot be read any more
        stays as it is, and is `trouble`.
        """
        readings = self._readings
        async with self._renewing:
            if self._readings == readings and await self._proof() == rejected:
                try:
                    self._adopt(await self._source.read())
                    self.trouble = ""
                except UsageError as error:
                    self.trouble = str(error)
                    self._expires_at = None  # from now on the server says when to try again
                    log.warning("credentials_not_renewed", source=self.origin, reason=self.trouble)
                self._readings += 1
            return await self._proof() != rejected

    async def _proof(self) -> Proof:
        try:
            setting = (await self._configuration.auth_settings()).get("BearerToken") or {}
            token = setting.get("value")
        except Exception as error:  # noqa: BLE001  whatever reading a file or the loader's checks raise
            log.warning("token_not_read", source=self.origin, reason=printable(str(error), 300))
            token = self._configuration.api_key.get("BearerToken")
        # Token files end in a line feed, which no header may contain.
        return Proof({"authorization": token.strip()} if token else {}, self._tls)

    def _adopt(self, found: _Found) -> None:
        tls = _tls_files(found) if self.server.startswith("https") else None
        if tls is not None and (made_from := tls.digest()) != self._tls_from:
            # Only then: another context means other connections.
            self._tls, self._tls_from = tls.context(), made_from
        self._configuration = found.configuration
        # One that has passed already says nothing, except about somebody's clock.
        is_ahead = found.expires_at is not None and found.expires_at > datetime.now(UTC)
        self._expires_at = found.expires_at if is_ahead else None


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
    found = await source.read()
    configuration = found.configuration
    if _host(configuration).startswith("https") and not configuration.verify_ssl:
        if not allow_insecure:
            raise UsageError(
                f"{source.words} says insecure-skip-tls-verify: anybody between here and {configuration.host} could "
                "pose as the API server; put its certificate-authority there, or pass allow_insecure=True"
            )
        log.warning("tls_verification_skipped", server=configuration.host, source=source.words)
    return Credentials(source, found)


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read: the loader's configuration, and what an exec plugin gave besides a token."""

    configuration: Configuration
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    expires_at: datetime | None = None


class _Source:
    """Something that credentials can be read from, again and again."""

    words: str

    async def read(self) -> _Found:
        raise NotImplementedError


class _KubeconfigFile(_Source):
    def __init__(self, path: str, context: str | None, *, named: bool) -> None:
        self.words = f"kubeconfig {path}"
        self._path = path
        self._context = context
        self._named = named

    async def read(self) -> _Found:
        if not any(_is_file(part) for part in self._path.split(os.pathsep) if part):
            where = "" if self._named else " (nothing else was named)"
            raise UsageError(
                f"{self.words} does not exist{where}: name one with kubeconfig= or $KUBECONFIG, or run in a pod"
            )
        from kubernetes_asyncio.config.kube_config import KubeConfigMerger  # noqa: PLC0415  see the top

        try:
            return await _loaded(KubeConfigMerger(self._path).config, self._context)
        except Exception as error:  # see _unreadable
            raise _unreadable(self.words, self._context, error) from error


class _KubeconfigContent(_Source):
    def __init__(self, content: Mapping[str, Any], context: str | None) -> None:
        self.words = "the kubeconfig given"
        self._content = dict(content)
        self._context = context

    async def read(self) -> _Found:
        try:
            return await _loaded(copy.deepcopy(self._content), self._context)
        except Exception as error:  # see _unreadable
            raise _unreadable(self.words, self._context, error) from error


class _Pod(_Source):
    words = "the service account of this pod"

    async def read(self) -> _Found:
        from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top
        from kubernetes_asyncio.config import ConfigException, load_incluster_config  # noqa: PLC0415

        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise _unreadable(self.words, None, error) from error
        return _Found(configuration)


async def _loaded(content: Any, context: str | None) -> _Found:
    """What a kubeconfig says, its exec plugin having been run. Any: a dict, or the loader's nodes of merged files."""
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader  # noqa: PLC0415

    loader = KubeConfigLoader(config_dict=content, config_base_path=None, active_context=context)
    given = None
    user = _user_of(loader.current_context or {}, content)
    if user is not None and (settings := user.value.pop("exec", None)):
        given = await plugin.run(settings, Path(user.path or ".").parent)
        user.value |= {"token": given.token} if given.token else {}
    configuration = Configuration()
    await loader.load_and_set(configuration)
    if given is None:
        return _Found(configuration)
    return _Found(configuration, given.certificate, given.key, given.expires_at)


def _user_of(current: Mapping[str, Any], content: Any) -> Any:
    """The loader's node of the user of a context; None if it has none."""
    from kubernetes_asyncio.config.kube_config import ConfigNode  # noqa: PLC0415  see the top

    root = content if isinstance(content, ConfigNode) else ConfigNode("kube-config", content)
    name = current.get("context", {}).get("user")
    user = root["users"].get_with_name(name, safe=True) if name and root.safe_get("users") else None
    return user["user"] if user is not None else None


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


def _unreadable(words: str, context: str | None, error: Exception) -> UsageError:
    # Whatever a damaged kubeconfig makes the loader raise (KeyError, AssertionError, YAML errors, OSError of an exec
    # plugin) is one thing to the user.
    import yaml  # noqa: PLC0415  see the top

    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        first_line = f"it is not YAML, line {error.problem_mark.line + 1}: {error.problem}"
    wanted = f" (context {context})" if context else ""
    return UsageError(f"{words}{wanted} cannot be used: {printable(first_line, 300)}")


@dataclass(frozen=True, slots=True)
class _TLSFiles:
    """What a context of TLS is made of, as it was read: PEM, all from one moment."""

    host: str
    authority: str
    certificate: str = field(repr=False)
    key: str = field(repr=False)
    verify: bool = True

    def digest(self) -> bytes:
        return hashlib.sha256("\0".join((self.authority, self.certificate, self.key)).encode()).digest()

    def context(self) -> ssl.SSLContext:
        try:
            tls = ssl.create_default_context(cadata=self.authority or None)
            if self.certificate:
                with _named(f"{self.certificate}\n{self.key}") as path:
                    tls.load_cert_chain(path)
        except (OSError, ValueError) as error:
            raise _no_certificates(self.host, error) from error
        if not self.verify:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        return tls


@contextmanager
def _named(pem: str) -> Iterator[str]:
    """A path under which OpenSSL, which takes certificates from files only, finds this text meanwhile."""
    # In memory where there is such a thing: no key is written to a disk, and a pod may have none to write to.
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("pem"), "w") as file:
            file.write(pem)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(pem)
            file.flush()
            yield file.name


def _tls_files(found: _Found) -> _TLSFiles:
    configuration, host = found.configuration, _host(found.configuration)
    try:
        return _TLSFiles(
            host,
            _text(configuration.ssl_ca_cert),
            found.certificate or _text(configuration.cert_file),
            found.key or _text(configuration.key_file),
            configuration.verify_ssl,
        )
    except (OSError, ValueError) as error:
        raise _no_certificates(host, error) from error


def _text(path: str | None) -> str:
    # PEM is ASCII; what people write between the certificates need not be.
    return Path(path).read_text(encoding="ascii", errors="ignore") if path else ""


def _no_certificates(host: str, error: Exception) -> UsageError:
    return UsageError(f"the certificates for {host} cannot be used: {error}")
