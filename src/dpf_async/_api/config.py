"""Where the API server is and who we are to it: a kubeconfig, or the files of a pod.

The only module that names kubernetes_asyncio, and only inside functions: importing it costs 325 ms and 72 MB (peers 4),
which nobody should pay who just builds models. It makes sense of kubeconfigs for us; the session is ours (transport),
because its own follows redirects and obeys the environment (reliability 7.3), and so is what runs exec plugins (plugin)
and what reads keys, which it would copy to the disk (reliability 7.4).

Nothing is read once and for all: tokens, certificates and authorities are replaced while a client lives, and what was
read last is used until the server, or the server's certificate, refuses it.
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
"""Seconds for which a token from a file is used before the file is read again: as long as in client-go, whose habit
those who rotate tokens count on (reliability L1)."""

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


def _now() -> datetime:
    return datetime.now(UTC)


class Credentials:
    """The address of one API server, and what it accepts; renewed when it stops accepting that.

    Built by `load`.

    Attributes:
        server: its URL.
        proxy: to go through.
        server_name: that its certificate has to be for, where that is not the URL's.
        trouble: why they could not be read again, the last time that was tried; empty if they could.
    """

    def __init__(
        self, source: _Source, found: _Found, *, allow_insecure: bool, clock: Callable[[], datetime]
    ) -> None:
        self.server: str = found.server
        self.proxy: str | None = found.proxy
        self.server_name: str | None = found.server_name
        self.trouble: str = ""
        self._source = source
        self._allow_insecure = allow_insecure
        self._clock = clock
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
        """What to show with one request.

        A token file is read again once a minute, and what an exec plugin gave is renewed when it has expired. What
        cannot be read just now leaves what was read before: it may well be valid.
        """
        if self._expires_at is not None and self._clock() >= self._expires_at:
            await self.renew(self._proof())
        if self._token_file and anyio.current_time() >= self._token_due:
            self._read_token()
        return self._proof()

    async def renew(self, rejected: Proof) -> bool:
        """Read the credentials again from where they came; True if they are other ones than those rejected.

        Called when the server did not accept them, or its certificate was not accepted: files are re-read and exec
        plugins run again, once for all the requests that were rejected at the same time. What cannot be read any more
        stays as it is, and is `trouble`.
        """
        readings = self._readings
        async with self._renewing:
            if self._readings == readings and self._proof() == rejected:
                try:
                    self._adopt(await self._source.read())
                    self.trouble = ""
                except UsageError as error:
                    self.trouble = str(error)
                    self._expires_at = None  # from now on the server says when to try again
                    log.warning("credentials_not_renewed", source=self.origin, reason=self.trouble)
                self._readings += 1
            return self._proof() != rejected

    def _proof(self) -> Proof:
        return Proof({"authorization": self._authorization} if self._authorization else {}, self._tls)

    def _adopt(self, found: _Found) -> None:
        """Use what was read, all of it or nothing.

        Raises:
            UsageError: it is not to be used.
        """
        if found.server != self.server:
            # Its user's token is for another server to see.
            raise UsageError(
                f"{self.origin} names another server now, {found.server}: enter another client for that one"
            )
        if found.tls is not None:
            if not found.tls.verify and not self._allow_insecure:
                raise UsageError(
                    f"{self.origin} says insecure-skip-tls-verify: anybody between here and {self.server} could pose"
                    " as the API server; put its certificate-authority there, or pass allow_insecure=True"
                )
            if (made_from := found.tls.digest()) != self._tls_from:
                # Only then: another context means other connections.
                try:
                    self._tls = found.tls.context()
                except (OSError, ValueError) as error:
                    reason = error.reason if isinstance(error, ssl.SSLError) else None
                    words = reason.replace("_", " ").lower() if reason else printable(str(error), 300)
                    raise UsageError(f"{self.origin} cannot be used: its certificates: {words}") from error
                self._tls_from = made_from
        self._authorization = found.authorization
        self._token_file = found.token_file
        self._token_due = anyio.current_time() + TOKEN_PERIOD
        # One that has passed already says nothing, except about somebody's clock.
        is_ahead = found.expires_at is not None and found.expires_at > self._clock()
        self._expires_at = found.expires_at if is_ahead else None

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
    """Find out where the API server is and who we are to it.

    Args:
        kubeconfig: path or content; None means $KUBECONFIG, else ~/.kube/config, else the files of a pod.
        context: context of the kubeconfig; None means its current one.
        allow_insecure: accept a kubeconfig that says insecure-skip-tls-verify.
        allow_exec: run an exec plugin that it names; None means if it is a file. Content may have come from anywhere,
            and the plugin is any program.
        clock: tells whether what an exec plugin gave has expired.

    Raises:
        UsageError: there is none, it cannot be read, or it wants TLS unverified, or a program run, and that was not
            allowed.
    """
    source = _find(kubeconfig, context, allow_exec)
    found = await source.read()
    credentials = Credentials(source, found, allow_insecure=allow_insecure, clock=clock)
    if found.tls is not None and not found.tls.verify:
        log.warning("tls_verification_skipped", server=credentials.server, source=source.words)
    return credentials


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read, all at one moment.

    Attributes:
        context: the context of the kubeconfig.
        server, proxy, server_name: as Credentials has them.
        authorization: the header; empty if there is none.
        token_file: that the token in it is from; empty if it is not from a file.
        tls: None for plain http.
        expires_at: when the exec plugin that gave them says they stop being accepted.
    """

    server: str
    authorization: str = field(repr=False)
    context: str | None = None
    proxy: str | None = field(default=None, repr=False)
    server_name: str | None = None
    token_file: str = ""
    tls: _PEM | None = None
    expires_at: datetime | None = None


class _Source:
    """Something that credentials can be read from, again and again."""

    words: str

    async def read(self) -> _Found:
        raise NotImplementedError


class _Kubeconfig(_Source):
    def __init__(self, words: str, context: str | None, *, allow_exec: bool) -> None:
        self.words = words
        self._context = context
        self._allow_exec = allow_exec

    async def read(self) -> _Found:
        self._look()
        try:
            found = await _loaded(self._content(), self._context, allow_exec=self._allow_exec)
        except Exception as error:  # see _unreadable
            raise _unreadable(self.words, self._context, error) from error
        # Somebody who goes on to another context (kubectl config use-context) does not mean clients that run.
        self._context = found.context
        return found

    def _look(self) -> None:
        """Raise a UsageError if there is nothing to read."""

    def _content(self) -> ConfigNode:
        raise NotImplementedError


class _KubeconfigFile(_Kubeconfig):
    def __init__(self, path: str, context: str | None, *, named: bool, allow_exec: bool | None) -> None:
        super().__init__(f"kubeconfig {path}", context, allow_exec=allow_exec is not False)
        self._path = path
        self._named = named

    def _look(self) -> None:
        if not any(_is_file(part) for part in self._path.split(os.pathsep) if part):
            where = "" if self._named else " (nothing else was named)"
            raise UsageError(
                f"{self.words} does not exist{where}: name one with kubeconfig= or $KUBECONFIG, or run in a pod"
            )

    def _content(self) -> ConfigNode:
        from kubernetes_asyncio.config.kube_config import ConfigNode, KubeConfigMerger  # noqa: PLC0415  see the top

        merged = KubeConfigMerger(self._path).config
        assert merged is not None, "it was looked for"  # noqa: S101
        for part in ("clusters", "contexts", "users"):
            for node in merged.value[part]:
                # The loader puts names into its messages, and names a node by all that is in it: tokens.
                if isinstance(node, ConfigNode) and isinstance(node.value, dict):
                    node.name = f"{part}[name={node.value.get('name')}]"
        return merged


class _KubeconfigContent(_Kubeconfig):
    def __init__(self, content: Mapping[str, Any], context: str | None, *, allow_exec: bool | None) -> None:
        super().__init__("the kubeconfig given", context, allow_exec=allow_exec is True)
        self._given = dict(content)

    def _content(self) -> ConfigNode:
        from kubernetes_asyncio.config.kube_config import ConfigNode  # noqa: PLC0415  see the top

        return ConfigNode("kubeconfig", copy.deepcopy(self._given))


class _Pod(_Source):
    words = "the service account of this pod"

    async def read(self) -> _Found:
        from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top
        from kubernetes_asyncio.config import (  # noqa: PLC0415
            ConfigException,
            incluster_config,
            load_incluster_config,
        )

        configuration, token_file = Configuration(), incluster_config.SERVICE_TOKEN_FILENAME
        try:
            # It finds the server, and looks whether all is there; the files are read here, as any others are.
            load_incluster_config(client_configuration=configuration, try_refresh_token=False)  # type: ignore[no-untyped-call]
            return _Found(
                str(configuration.host),
                f"Bearer {_token_in(token_file)}",
                token_file=token_file,
                tls=_PEM(authority=_text(incluster_config.SERVICE_CERT_FILENAME)),
            )
        except (ConfigException, OSError, ValueError) as error:
            raise _unreadable(self.words, None, error) from error


async def _loaded(content: ConfigNode, context: str | None, *, allow_exec: bool) -> _Found:
    """What a kubeconfig says in a context, its exec plugin having been run. It takes the content apart."""
    from kubernetes_asyncio.client import Configuration  # noqa: PLC0415  see the top
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader  # noqa: PLC0415

    loader = KubeConfigLoader(config_dict=content, config_base_path=None, active_context=context)
    current = loader.current_context or {}
    cluster, user = (_entry(content, current, part) for part in ("cluster", "user"))
    server = str(cluster.says.get("server") or "").rstrip("/")
    if not server:
        raise ValueError("its cluster names no server")
    given = None
    if settings := user.says.pop("exec", None):
        if not allow_exec:
            raise ValueError(
                "it names an exec plugin, a program to run: pass allow_exec=True if you trust it"
            )
        given = await plugin.run(settings, user.folder)
        user.says.update({"token": given.token} if given.token else {})
    token_file = user.take_token_file()
    authority = cluster.take_pem("certificate-authority")
    certificate, key = user.take_pem("client-certificate"), user.take_pem("client-key")
    if given is not None and given.certificate:
        certificate, key = given.certificate, given.key
    for file in ("cert_file", "key_file"):
        # Or it would look for it at a user that a context need not have.
        setattr(loader, file, None)
    await loader.load_and_set(configuration := Configuration())
    verify = not cluster.says.get("insecure-skip-tls-verify")
    return _Found(
        server,
        str(configuration.api_key.get("BearerToken") or "").strip(),
        context=current.get("name"),
        proxy=cluster.says.get("proxy-url"),
        server_name=cluster.says.get("tls-server-name"),
        token_file=token_file,
        tls=_PEM(authority, certificate, key, verify=verify) if server.startswith("https") else None,
        expires_at=given.expires_at if given is not None else None,
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """The cluster or the user of a context: what is said of it, and the folder in which its paths begin."""

    says: dict[str, Any] = field(repr=False)  # Any: it is the user's YAML
    folder: Path

    def take_pem(self, name: str) -> str:
        """A certificate or key. It is taken away from the loader, who would write it to a file."""
        data, path = self.says.pop(f"{name}-data", None), self.says.pop(name, None)
        if data:
            return base64.b64decode(data).decode("ascii", errors="ignore")
        return _text(self.folder / path) if path else ""

    def take_token_file(self) -> str:
        """Where the token comes from, having made it the token; empty if it comes from elsewhere."""
        path: str | None = self.says.pop("tokenFile", None)
        if not path or self.says.get("token"):
            return ""
        where = os.fspath(self.folder / path)
        self.says["token"] = _token_in(where)
        return where


def _entry(content: ConfigNode, current: Mapping[str, Any], part: str) -> _Entry:
    """What a context means by its "cluster" or "user"; nothing is said of a user if it has none."""
    name, parts = current.get("context", {}).get(part), f"{part}s"
    node = content[parts].get_with_name(name, safe=True) if name and content.safe_get(parts) else None
    if node is None:
        return _Entry({}, Path())
    return _Entry(node[part].value, Path(node.path or ".").parent)


def _find(kubeconfig: Kubeconfig | None, context: str | None, allow_exec: bool | None) -> _Source:
    if isinstance(kubeconfig, dict):
        return _KubeconfigContent(kubeconfig, context, allow_exec=allow_exec)
    if kubeconfig is not None:
        return _KubeconfigFile(os.fspath(kubeconfig), context, named=True, allow_exec=allow_exec)
    if named := os.environ.get("KUBECONFIG"):
        return _KubeconfigFile(named, context, named=True, allow_exec=allow_exec)
    if _POD_ENVIRONMENT in os.environ and not _is_file(_DEFAULT_PATH):
        return _Pod()
    return _KubeconfigFile(_DEFAULT_PATH, context, named=False, allow_exec=allow_exec)


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
class _PEM:
    """What a context of TLS is made of, as it was read, all at one moment."""

    authority: str
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    verify: bool = True

    def digest(self) -> bytes:
        parts = (self.authority, self.certificate, self.key, str(self.verify))
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def context(self) -> ssl.SSLContext:
        """The same as what OpenSSL wants.

        Raises:
            OSError, ValueError: this is no certificate, or no key, or not the key of that certificate.
        """
        tls = ssl.create_default_context(cadata=self.authority or None)
        if self.certificate:
            with _named(f"{self.certificate}\n{self.key}") as path:
                tls.load_cert_chain(path, password=_no_password)
        if not self.verify:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        return tls


def _no_password() -> str:
    # Without this, OpenSSL asks at the terminal, and everything waits.
    raise ValueError("the key is encrypted, and nobody is there to be asked for its password")


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


def _text(path: str | os.PathLike[str]) -> str:
    # PEM is ASCII; what people write between the certificates need not be.
    return Path(path).read_text(encoding="ascii", errors="ignore")


def _token_in(path: str) -> str:
    # Token files end in a line feed, which no header may contain.
    token = Path(path).read_text(encoding="utf-8").strip()
    if not token:
        raise ValueError(f"{path} is empty")
    return token
