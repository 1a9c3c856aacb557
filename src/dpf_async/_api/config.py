"""Address of the API server and the credentials for it, from a kubeconfig or the service account of a pod.

The only module that imports kubernetes_asyncio, and only inside functions: the import takes 325 ms and 72 MB
(docs/watching.md#imports), which programs that only build models should not pay. It parses kubeconfigs. Everything else
is this library's own: HTTP (transport), because its session follows redirects and uses proxy settings of the
environment (docs/watching.md#transport); exec plugins (plugin); and reading keys, which it would copy to the disk
(docs/watching.md#kubeconfig).

Credentials are reloaded: tokens, certificates and authorities are replaced while a client runs, and the last ones
are used until the server rejects them or its certificate does not verify.
"""

from __future__ import annotations

import base64
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
    from collections.abc import Callable, Iterator, Mapping

    from kubernetes_asyncio.config.kube_config import ConfigNode


Kubeconfig = str | os.PathLike[str] | dict[str, Any]
"""A path, or the content of a kubeconfig. Any: it is the user's YAML."""

TOKEN_PERIOD: Final = 60.0
"""Seconds for which a token from a file is used before the file is read again: the period of client-go, which token
rotation relies on (docs/watching.md#token-files)."""

_POD_ENVIRONMENT: Final = "KUBERNETES_SERVICE_HOST"
_DEFAULT_PATH: Final = "~/.kube/config"


@dataclass(frozen=True, slots=True)
class Proof:
    """The credentials of one request, and the authority that the server's certificate is verified against.

    Attributes:
        headers: the Authorization header, if there is a token.
        tls: has the client certificate and the authority to trust; None for plain http.
    """

    headers: Mapping[str, str] = field(repr=False)
    tls: ssl.SSLContext | None


def _now() -> datetime:
    return datetime.now(UTC)


class Credentials:
    """The address of one API server and the credentials for it, reloaded when the server rejects them.

    Created by `load`.

    Attributes:
        server: URL of the API server.
        proxy: URL of the HTTP proxy to use.
        server_name: name that the server's certificate has to be valid for, if it is not that of the URL.
        reload_error: why the last reload failed; empty if it succeeded.
    """

    def __init__(
        self,
        source: _CredentialSource,
        loaded: _Loaded,
        *,
        allow_insecure: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self.server: str = loaded.server
        self.proxy: str | None = loaded.proxy
        self.server_name: str | None = loaded.server_name
        self.reload_error: str = ""
        self._source = source
        self._allow_insecure = allow_insecure
        self._clock = clock
        self._reload_lock = anyio.Lock()
        self._reloads = 0
        self._expires_at: datetime | None = None
        self._tls: ssl.SSLContext | None = None
        self._tls_digest = b""
        self._adopt(loaded)

    @property
    def origin(self) -> str:
        """Where the credentials were loaded from, for messages."""
        return self._source.description

    async def proof(self) -> Proof:
        """The credentials for one request.

        A token file is read again once a minute, and the exec plugin runs again when its credentials have expired.
        If a reload fails, the previous credentials stay in use: they may still be valid.
        """
        if self._expires_at is not None and self._clock() >= self._expires_at:
            await self.renew(self._proof())
        if self._token_file and anyio.current_time() >= self._token_due:
            self._read_token()
        return self._proof()

    async def renew(self, rejected: Proof) -> bool:
        """Reload the credentials from their source; True if they differ from the rejected ones.

        Called when the server rejected them, or its certificate did not verify: files are read again and exec
        plugins run again, once for all requests that were rejected at the same time. If the reload fails, the
        previous credentials stay in use and `reload_error` has the reason.
        """
        reloads = self._reloads
        async with self._reload_lock:
            if self._reloads == reloads and self._proof() == rejected:
                try:
                    self._adopt(await self._source.read())
                    self.reload_error = ""
                except UsageError as error:
                    self.reload_error = str(error)
                    self._expires_at = None  # the next 401 of the server starts the next reload
                    log.warning("credentials_not_renewed", source=self.origin, reason=self.reload_error)
                self._reloads += 1
            return self._proof() != rejected

    def _proof(self) -> Proof:
        return Proof({"authorization": self._authorization} if self._authorization else {}, self._tls)

    def _adopt(self, loaded: _Loaded) -> None:
        """Use the loaded credentials, all of them or none.

        Raises:
            UsageError: they must not be used.
        """
        if loaded.server != self.server:
            # The token in it must not be sent to the server of this client.
            raise UsageError(
                f"{self.origin} names another server now, {loaded.server}: create another client for that server"
            )
        if loaded.tls is not None:
            if not loaded.tls.verify and not self._allow_insecure:
                raise UsageError(
                    f"{self.origin} has insecure-skip-tls-verify: any host between this client and {self.server} could"
                    " impersonate the API server; add its certificate-authority, or pass allow_insecure=True"
                )
            if (digest := loaded.tls.digest()) != self._tls_digest:
                # Only after a change: another SSL context means new connections.
                try:
                    self._tls = loaded.tls.context()
                except (OSError, ValueError) as error:
                    reason = error.reason if isinstance(error, ssl.SSLError) else None
                    message = reason.replace("_", " ").lower() if reason else printable(str(error), 300)
                    raise UsageError(f"{self.origin} cannot be used: its certificates: {message}") from error
                self._tls_digest = digest
        self._authorization = loaded.authorization
        self._token_file = loaded.token_file
        self._token_due = anyio.current_time() + TOKEN_PERIOD
        # An expiration time in the past is ignored: one of the two clocks is wrong.
        is_ahead = loaded.expires_at is not None and loaded.expires_at > self._clock()
        self._expires_at = loaded.expires_at if is_ahead else None

    def _read_token(self) -> None:
        try:
            self._authorization = f"Bearer {_token_in(self._token_file)}"
        except (OSError, ValueError) as error:
            log.warning("token_not_read", source=self.origin, reason=printable(str(error), 300))
        self._token_due = anyio.current_time() + TOKEN_PERIOD


async def load(
    kubeconfig: Kubeconfig | None,
    context: str | None,
    *,
    allow_insecure: bool = False,
    allow_exec: bool | None = None,
    clock: Callable[[], datetime] = _now,
) -> Credentials:
    """Find the kubeconfig or the service account, and load the address and the credentials from it.

    Args:
        kubeconfig: path or content; None means $KUBECONFIG, else ~/.kube/config, else the service account of the pod.
        context: context of the kubeconfig; None means its current-context.
        allow_insecure: accept a kubeconfig with insecure-skip-tls-verify.
        allow_exec: run the exec plugin that the kubeconfig names; None means only if it is a file. Content may be from
            an untrusted source, and the plugin can be any program.
        clock: the current time, compared with the expiration time of exec plugin credentials.

    Raises:
        UsageError: there is no kubeconfig, it cannot be read, or it disables TLS verification or names an exec plugin
            and that is not allowed.
    """
    source = _find(kubeconfig, context, allow_exec)
    loaded = await source.read()
    credentials = Credentials(source, loaded, allow_insecure=allow_insecure, clock=clock)
    if loaded.tls is not None and not loaded.tls.verify:
        log.warning("tls_verification_skipped", server=credentials.server, source=source.description)
    return credentials


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The result of one read of a credential source.

    Attributes:
        context: the context of the kubeconfig.
        server, proxy, server_name: as in Credentials.
        authorization: the header; empty if there is none.
        token_file: the file that the token was read from; empty if it is not from a file.
        tls: None for plain http.
        expires_at: when the credentials of the exec plugin expire.
    """

    server: str
    authorization: str = field(repr=False)
    context: str | None = None
    proxy: str | None = field(default=None, repr=False)
    server_name: str | None = None
    token_file: str = ""
    tls: _PEM | None = None
    expires_at: datetime | None = None


class _CredentialSource:
    """A source that credentials can be read from any number of times."""

    description: str

    async def read(self) -> _Loaded:
        raise NotImplementedError


class _Kubeconfig(_CredentialSource):
    def __init__(self, description: str, context: str | None, *, allow_exec: bool) -> None:
        self.description = description
        self._context = context
        self._allow_exec = allow_exec

    async def read(self) -> _Loaded:
        self._check_exists()
        try:
            loaded = await _load_content(self._content(), self._context, allow_exec=self._allow_exec)
        except Exception as error:  # see _unreadable
            raise _unreadable(self.description, self._context, error) from error
        # A later `kubectl config use-context` must not change the context of a running client.
        self._context = loaded.context
        return loaded

    def _check_exists(self) -> None:
        """Raise a UsageError if there is nothing to read."""

    def _content(self) -> ConfigNode:
        raise NotImplementedError


class _KubeconfigFile(_Kubeconfig):
    def __init__(self, path: str, context: str | None, *, named: bool, allow_exec: bool | None) -> None:
        super().__init__(f"kubeconfig {path}", context, allow_exec=allow_exec is not False)
        self._path = path
        self._named = named

    def _check_exists(self) -> None:
        if not any(_is_file(part) for part in self._path.split(os.pathsep) if part):
            reason = "" if self._named else " (the default; no other was given)"
            raise UsageError(
                f"{self.description} does not exist{reason}: pass kubeconfig=, set $KUBECONFIG, or run in a pod"
            )

    def _content(self) -> ConfigNode:
        from kubernetes_asyncio.config.kube_config import ConfigNode, KubeConfigMerger  # noqa: PLC0415  see the top

        merged = KubeConfigMerger(self._path).config
        assert merged is not None, "_check_exists found a file"  # noqa: S101
        for part in ("clusters", "contexts", "users"):
            for node in merged.value[part]:
                # The loader repeats node names in its messages, and its default name is the content: tokens.
                if isinstance(node, ConfigNode) and isinstance(node.value, dict):
                    node.name = f"{part}[name={node.value.get('name')}]"
        return merged


class _KubeconfigContent(_Kubeconfig):
    def __init__(self, content: Mapping[str, Any], context: str | None, *, allow_exec: bool | None) -> None:
        super().__init__("the kubeconfig given", context, allow_exec=allow_exec is True)
        self._dict = dict(content)

    def _content(self) -> ConfigNode:
        from kubernetes_asyncio.config.kube_config import ConfigNode  # noqa: PLC0415  see the top

        return ConfigNode("kubeconfig", copy.deepcopy(self._dict))


class _Pod(_CredentialSource):
    description = "the service account of this pod"

    async def read(self) -> _Loaded:
        from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top
        from kubernetes_asyncio.config import (  # noqa: PLC0415
            ConfigException,
            incluster_config,
            load_incluster_config,
        )

        configuration, token_file = Configuration(), incluster_config.SERVICE_TOKEN_FILENAME
        try:
            # It determines the address and checks that the files exist; their content is read below.
            load_incluster_config(client_configuration=configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
            return _Loaded(
                str(configuration.host),
                f"Bearer {_token_in(token_file)}",
                token_file=token_file,
                tls=_PEM(authority=_text(incluster_config.SERVICE_CERT_FILENAME)),
            )
        except (ConfigException, OSError, ValueError) as error:
            raise _unreadable(self.description, None, error) from error


async def _load_content(content: ConfigNode, context: str | None, *, allow_exec: bool) -> _Loaded:
    """Load a context of a kubeconfig, and run its exec plugin. Modifies the content."""
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader  # noqa: PLC0415

    loader = KubeConfigLoader(config_dict=content, config_base_path=None, active_context=context)
    current = loader.current_context or {}
    cluster, user = (_entry(content, current, part) for part in ("cluster", "user"))
    server = str(cluster.fields.get("server") or "").rstrip("/")
    if not server:
        raise ValueError("its cluster has no server")
    from_plugin = None
    if settings := user.fields.pop("exec", None):
        if not allow_exec:
            raise ValueError(
                "it names an exec plugin, a program to run: pass allow_exec=True if you trust it"
            )
        from_plugin = await plugin.run(settings, user.folder)
        user.fields.update({"token": from_plugin.token} if from_plugin.token else {})
    token_file = user.resolve_token_file()
    authority = cluster.pop_pem("certificate-authority")
    certificate, key = user.pop_pem("client-certificate"), user.pop_pem("client-key")
    if from_plugin is not None and from_plugin.certificate:
        certificate, key = from_plugin.certificate, from_plugin.key
    for file in ("cert_file", "key_file"):
        # Otherwise the loader reads them from the user, which a context need not have.
        setattr(loader, file, None)
    await loader.load_and_set(configuration := Configuration())
    verify = not cluster.fields.get("insecure-skip-tls-verify")
    return _Loaded(
        server,
        str(configuration.api_key.get("BearerToken") or "").strip(),
        context=current.get("name"),
        proxy=cluster.fields.get("proxy-url"),
        server_name=cluster.fields.get("tls-server-name"),
        token_file=token_file,
        tls=_PEM(authority, certificate, key, verify=verify) if server.startswith("https") else None,
        expires_at=from_plugin.expires_at if from_plugin is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """The cluster or the user of a context: its fields, and the folder that its paths are relative to."""

    fields: dict[str, Any] = field(repr=False)  # Any: it is the user's YAML
    folder: Path

    def pop_pem(self, name: str) -> str:
        """Remove and return a certificate or key, which the loader would otherwise write to a file."""
        data, path = self.fields.pop(f"{name}-data", None), self.fields.pop(name, None)
        if data:
            return base64.b64decode(data).decode("ascii", errors="ignore")
        return _text(self.folder / path) if path else ""

    def resolve_token_file(self) -> str:
        """Replace tokenFile by the token in it, and return its path; empty if the token is not from a file."""
        path: str | None = self.fields.pop("tokenFile", None)
        if not path or self.fields.get("token"):
            return ""
        file = os.fspath(self.folder / path)
        self.fields["token"] = _token_in(file)
        return file


def _entry(content: ConfigNode, current: Mapping[str, Any], part: str) -> _Entry:
    """The entry that a context names as its "cluster" or "user"; an empty one if it names none."""
    name, parts = current.get("context", {}).get(part), f"{part}s"
    node = content[parts].get_with_name(name, safe=True) if name and content.safe_get(parts) else None
    if node is None:
        return _Entry({}, Path())
    return _Entry(node[part].value, Path(node.path or ".").parent)


def _find(kubeconfig: Kubeconfig | None, context: str | None, allow_exec: bool | None) -> _CredentialSource:
    if isinstance(kubeconfig, dict):
        return _KubeconfigContent(kubeconfig, context, allow_exec=allow_exec)
    if kubeconfig is not None:
        return _KubeconfigFile(os.fspath(kubeconfig), context, named=True, allow_exec=allow_exec)
    if path := os.environ.get("KUBECONFIG"):
        return _KubeconfigFile(path, context, named=True, allow_exec=allow_exec)
    if _POD_ENVIRONMENT in os.environ and not _is_file(_DEFAULT_PATH):
        return _Pod()
    return _KubeconfigFile(_DEFAULT_PATH, context, named=False, allow_exec=allow_exec)


def _is_file(path: str) -> bool:
    return Path(path).expanduser().is_file()


def _unreadable(source: str, context: str | None, error: Exception) -> UsageError:
    # Every exception that the loader raises for a malformed kubeconfig (KeyError, AssertionError, YAML errors, OSError
    # of an exec plugin) is the same mistake of the user.
    import yaml  # noqa: PLC0415  see the top

    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        first_line = f"it is not YAML, line {error.problem_mark.line + 1}: {error.problem}"
    in_context = f" (context {context})" if context else ""
    return UsageError(f"{source}{in_context} cannot be used: {printable(first_line, 300)}")


@dataclass(frozen=True, slots=True)
class _PEM:
    """The PEM texts for an SSL context, from one read of their source."""

    authority: str
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    verify: bool = True

    def digest(self) -> bytes:
        parts = (self.authority, self.certificate, self.key, str(self.verify))
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def context(self) -> ssl.SSLContext:
        """Create the SSL context.

        Raises:
            OSError, ValueError: a certificate or the key is malformed, or the key does not match the certificate.
        """
        tls = ssl.create_default_context(cadata=self.authority or None)
        if self.certificate:
            with _temporary_file(f"{self.certificate}\n{self.key}") as path:
                tls.load_cert_chain(path, password=_no_password)
        if not self.verify:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        return tls


def _no_password() -> str:
    # Without this callback, OpenSSL prompts at the terminal and blocks the process.
    raise ValueError("the key is encrypted, which is not supported; decrypt it")


@contextmanager
def _temporary_file(pem: str) -> Iterator[str]:
    """The path of a temporary file with this text: OpenSSL reads certificates from files only."""
    # In memory where the system supports it: the key is not written to a disk, and a pod may have a read-only one.
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


def _text(path: str | os.PathLike[str]) -> str:
    # PEM is ASCII; comments between the certificates need not be.
    return Path(path).read_text(encoding="ascii", errors="ignore")


def _token_in(path: str) -> str:
    # Token files end in a line feed, which no header may contain.
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"{path} is empty")
    return token
