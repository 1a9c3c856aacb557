"""Loading of address and credentials; every mistake in a kubeconfig is reported in one line."""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import certifi
import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from kubernetes_asyncio.config import incluster_config

from dpf_async import DPFClient
from dpf_async._api import plugin as exec_plugin
from dpf_async._api.config import TOKEN_PERIOD, load
from dpf_async.errors import UsageError
from tests.support.virtual_time import virtual_time

HERE = "http://127.0.0.1:1"


def kubeconfig(server: str = HERE, user: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": "t0ken"} if user is None else user}],
        "contexts": [
            {"name": "one", "context": {"cluster": "c", "user": "u"}},
            {"name": "lost", "context": {"cluster": "nowhere", "user": "u"}},
        ],
        "current-context": "one",
    }


def written(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return os.fspath(path)


def put(path: Path, content: str | None) -> None:
    """Write a file, or delete it."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig and no service account other than those of the test."""
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)


async def refusal(config: Any, context: str | None = None) -> str:
    with pytest.raises(UsageError) as raised:
        await load(config, context, allow_exec=True)
    message = str(raised.value)
    assert "\n" not in message
    return message


async def test_a_dict_a_path_and_the_environment_variable_load_the_same_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path / "kubeconfig", kubeconfig())

    by_content = await load(kubeconfig(), None)
    by_path = await load(Path(path), None)
    monkeypatch.setenv("KUBECONFIG", path)
    by_variable = await load(None, None)

    for credentials in (by_content, by_path, by_variable):
        assert credentials.server == HERE
        assert (await credentials.proof()).headers == {"authorization": "Bearer t0ken"}
    assert by_path.origin == by_variable.origin == f"kubeconfig {path}"


async def test_the_default_kubeconfig_is_in_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube" / "config", kubeconfig())

    assert (await load(None, None)).server == HERE


async def test_a_context_is_chosen_by_name(tmp_path: Path) -> None:
    config = kubeconfig()
    config["clusters"].append({"name": "c2", "cluster": {"server": "http://127.0.0.1:2/"}})
    config["contexts"].append({"name": "two", "context": {"cluster": "c2", "user": "u"}})

    assert (await load(config, "two")).server == "http://127.0.0.1:2"


async def test_the_error_for_a_missing_kubeconfig_names_it_and_the_alternatives(tmp_path: Path) -> None:
    named = await refusal(tmp_path / "nope")
    unnamed = await refusal(None)

    assert named == (
        f"kubeconfig {tmp_path}/nope does not exist: pass kubeconfig=, set $KUBECONFIG, or run in a pod"
    )
    assert unnamed.startswith("kubeconfig ~/.kube/config does not exist (the default; no other was given): ")


DAMAGED = [
    "",
    "{",
    "just text",
    "- a\n- list",
    "\x00",
    "!!python/object/apply:os.system ['true']",
    "clusters: 7",
]


@pytest.mark.parametrize("content", DAMAGED)
async def test_m6_the_error_for_a_malformed_kubeconfig_is_one_line_and_runs_nothing(
    content: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "kubeconfig", content)

    message = await refusal(path)

    assert message.startswith(f"kubeconfig {path} cannot be used: ")


@pytest.mark.parametrize("content", [{}, {"clusters": []}, kubeconfig() | {"contexts": None}])
async def test_the_error_for_a_malformed_kubeconfig_dict_is_one_line(content: dict[str, Any]) -> None:
    assert (await refusal(content)).startswith("the kubeconfig given cannot be used: ")


async def test_the_error_for_a_missing_current_context_names_the_field() -> None:
    config = kubeconfig()
    del config["current-context"]

    assert "current-context" in await refusal(config)
    assert (await load(config, "one")).server == HERE


async def test_the_error_for_a_missing_context_names_it() -> None:
    message = await refusal(kubeconfig(), "nope")

    assert message.startswith("the kubeconfig given (context nope) cannot be used: ")
    assert "name nope" in message


async def test_the_error_for_a_context_with_a_missing_cluster_names_the_cluster() -> None:
    assert "nowhere" in await refusal(kubeconfig(), "lost")


async def test_m8_tls_is_verified_unless_kubeconfig_and_caller_disable_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    careless = kubeconfig("https://127.0.0.1:1")
    careless["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True

    message = await refusal(careless)
    credentials = await load(careless, None, allow_insecure=True)
    careful = await load(kubeconfig("https://127.0.0.1:1"), None, allow_insecure=True)

    assert "insecure-skip-tls-verify" in message
    assert "allow_insecure=True" in message
    tls = (await credentials.proof()).tls
    assert tls is not None
    assert not tls.check_hostname
    careful_tls = (await careful.proof()).tls
    assert careful_tls is not None
    assert careful_tls.check_hostname
    assert capsys.readouterr().out.count("tls_verification_skipped") == 1


# Certificates.


def https(user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    config = kubeconfig("https://127.0.0.1:1", user)
    config["clusters"][0]["cluster"] |= cluster
    return config


def pair(folder: Path) -> dict[str, Any]:
    """A client certificate and its key in files, as a kubeconfig names them."""
    signed = trustme.CA().issue_cert("client.invalid")
    signed.cert_chain_pems[0].write_to_path(folder / "client.pem")
    signed.private_key_pem.write_to_path(folder / "client.key")
    return {"client-certificate": "client.pem", "client-key": "client.key"}


def inlined(user: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {
        f"{name}-data": base64.b64encode((folder / path).read_bytes()).decode() for name, path in user.items()
    }


async def test_files_of_a_user_are_relative_to_the_kubeconfig_that_defines_the_user(tmp_path: Path) -> None:
    mine, shared = tmp_path / "mine", tmp_path / "shared"
    mine.mkdir()
    shared.mkdir()
    whole = https(pair(mine))
    first = written(shared / "kubeconfig", whole | {"users": []})
    second = written(mine / "kubeconfig", {"users": whole["users"]})

    tls = (await (await load(os.pathsep.join([first, second]), None)).proof()).tls

    assert tls is not None


async def test_a_key_inside_a_kubeconfig_is_not_copied_to_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = inlined(pair(tmp_path), tmp_path)
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(disk))

    tls = (await (await load(https(user), None)).proof()).tls

    assert tls is not None
    assert list(disk.iterdir()) == []


async def test_the_error_for_a_key_of_another_certificate_is_one_line(tmp_path: Path) -> None:
    user = inlined(pair(tmp_path), tmp_path)
    other = inlined(pair(tmp_path), tmp_path)

    message = await refusal(https(user | {"client-key-data": other["client-key-data"]}))

    assert message == "the kubeconfig given cannot be used: its certificates: key values mismatch"


async def test_an_encrypted_key_is_rejected_without_a_password_prompt(tmp_path: Path) -> None:
    user = inlined(pair(tmp_path), tmp_path)
    key = load_pem_private_key(base64.b64decode(user["client-key-data"]), None)
    hidden = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hunter2"))

    message = await refusal(https(user | {"client-key-data": base64.b64encode(hidden).decode()}))

    assert message == (
        "the kubeconfig given cannot be used: its certificates: "
        "the key is encrypted, which is not supported; decrypt it"
    )


async def test_a_context_needs_no_user() -> None:
    config = https()
    del config["contexts"][0]["context"]["user"]

    credentials = await load(config, None)

    assert (await credentials.proof()).headers == {}


@pytest.mark.parametrize("field", ["certificate-authority", "client-certificate"])
async def test_the_error_for_a_missing_or_malformed_certificate_is_one_line(
    field: str, tmp_path: Path
) -> None:
    invalid = written(tmp_path / "invalid.pem", "not a certificate")

    for path in (os.fspath(tmp_path / "nope.pem"), invalid):
        config = https({"client-certificate": path, "client-key": path})
        if field == "certificate-authority":
            config = https(None, **{field: path})
        assert "cannot be used" in await refusal(config)


# Exec plugins.


def plugin(tmp_path: Path, script: str, **settings: Any) -> dict[str, Any]:
    path = tmp_path / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o700)
    return {"exec": {"apiVersion": EXEC, "command": os.fspath(path), **settings}}


EXEC = "client.authentication.k8s.io/v1"


def printing(version: str = EXEC, **status: Any) -> str:
    """The script of a plugin that prints this ExecCredential."""
    return f"print({json.dumps({'apiVersion': version, 'kind': 'ExecCredential', 'status': status})!r})"


async def test_the_token_of_an_exec_plugin_is_used(tmp_path: Path) -> None:
    credentials = await load(kubeconfig(user=plugin(tmp_path, printing(token="x"))), None, allow_exec=True)

    assert (await credentials.proof()).headers == {"authorization": "Bearer x"}


@pytest.mark.parametrize(("given", "allow_exec"), [("content", None), ("content", False), ("file", False)])
async def test_m7_an_exec_plugin_that_is_not_trusted_is_not_run(
    given: str, allow_exec: bool | None, tmp_path: Path
) -> None:
    config: Any = kubeconfig(user=plugin(tmp_path, f"open({os.fspath(tmp_path / 'ran')!r}, 'w')"))
    if given == "file":
        config = written(tmp_path / "kubeconfig", config)

    with pytest.raises(
        UsageError, match="names an exec plugin, a program to run: pass allow_exec=True if you"
    ):
        await load(config, None, allow_exec=allow_exec)

    assert not (tmp_path / "ran").exists()


async def test_an_exec_plugin_receives_arguments_environment_and_non_interactive_mode(
    tmp_path: Path,
) -> None:
    script = f"""
import json, os, sys
received = [sys.argv[1:], os.environ["REGION"], json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]]
print(json.dumps({{"apiVersion": "{EXEC}", "kind": "ExecCredential", "status": {{"token": json.dumps(received)}}}}))
"""
    user = plugin(tmp_path, script, args=["get", 7], env=[{"name": "REGION", "value": "north"}])

    credentials = await load(kubeconfig(user=user), None, allow_exec=True)

    received = (await credentials.proof()).headers["authorization"].removeprefix("Bearer ")
    assert json.loads(received) == [["get", "7"], "north", {"interactive": False}]


async def test_a_command_with_a_slash_is_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    user = plugin(tmp_path, printing(token="x"))
    user["exec"]["command"] = "./plugin"

    credentials = await load(written(tmp_path / "kubeconfig", kubeconfig(user=user)), None)

    assert (await credentials.proof()).headers == {"authorization": "Bearer x"}


async def test_a_command_with_a_slash_in_a_dict_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    user = plugin(tmp_path, printing(token="x"))
    user["exec"]["command"] = "./plugin"

    credentials = await load(kubeconfig(user=user), None, allow_exec=True)

    assert (await credentials.proof()).headers == {"authorization": "Bearer x"}


async def test_an_exec_plugin_runs_again_when_its_credentials_have_expired(tmp_path: Path) -> None:
    """And not before: many plugins send requests over the network."""
    now = datetime.now(UTC)
    times = iter([now, now, now + timedelta(hours=1), now + timedelta(hours=1)])
    script = f"""
import pathlib
count = pathlib.Path({os.fspath(tmp_path / "count")!r})
runs = 1 + (int(count.read_text()) if count.exists() else 0)
count.write_text(str(runs))
"""
    answer = json.loads(
        printing(token="t", expirationTimestamp=(now + timedelta(minutes=5)).isoformat())[7:-2]
    )
    answer["status"]["token"] = "RUNS"
    script += f"print({json.dumps(answer)!r}.replace('RUNS', str(runs)))"
    credentials = await load(
        kubeconfig(user=plugin(tmp_path, script)), None, allow_exec=True, clock=lambda: next(times)
    )

    before = await credentials.proof()
    after = await credentials.proof()

    assert (before.headers, after.headers) == (
        {"authorization": "Bearer 1"},
        {"authorization": "Bearer 2"},
    )


FAILURES = {
    "its exec plugin exited with status 3; run it in a terminal to see why": "print('s3cret'); exit(3)",
    "its exec plugin printed no ExecCredential": "print('s3cret')",
    "its exec plugin printed more than 1048576 bytes": "print('s3cret' * 2**18)",
    "its exec plugin returned neither a token nor a client certificate": printing(),
    "its exec plugin returned only one of a client certificate and its key": printing(
        token="s3cret", clientKeyData="s3cret"
    ),
    "its exec plugin answered in example.com/v1, not in client.authentication.k8s.io/v1": printing(
        "example.com/v1", token="s3cret"
    ),
}


@pytest.mark.parametrize("reason", FAILURES)
async def test_m2_the_error_for_a_failed_exec_plugin_has_none_of_its_output(
    reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    user = plugin(tmp_path, FAILURES[reason])

    with caplog.at_level(logging.DEBUG), pytest.raises(UsageError) as raised:
        await load(kubeconfig(user=user), None, allow_exec=True)
    shown = "".join(traceback.format_exception(raised.value))

    assert str(raised.value) == f"the kubeconfig given cannot be used: {reason}"
    for text in (shown, caplog.text, *capfd.readouterr()):
        assert "s3cret" not in text


async def test_the_error_for_a_missing_exec_plugin_has_its_install_hint() -> None:
    missing = {"apiVersion": EXEC, "command": "/no/such/plugin", "installHint": "get it from example.com"}

    assert await refusal(kubeconfig(user={"exec": missing})) == (
        "the kubeconfig given cannot be used: its exec plugin /no/such/plugin cannot be started:"
        " No such file or directory; get it from example.com"
    )


HANGING = """
import os, subprocess, sys
with open(sys.argv[1], "w") as alive:
    subprocess.run(["sleep", "1000"], pass_fds=[alive.fileno()])
"""
"""A plugin whose child hangs; both keep a pipe open, which shows whether they run."""


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[int]:
    """A pipe named `alive`: it ends when the last process that opened it has ended."""
    os.mkfifo(tmp_path / "alive")
    descriptor = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


async def test_an_exec_plugin_that_hangs_is_killed_with_its_children(
    alive: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exec_plugin, "TIME_LIMIT", 1.5)  # half a minute is long for a test
    user = plugin(tmp_path, HANGING, args=[os.fspath(tmp_path / "alive")])

    message = await refusal(kubeconfig(user=user))
    await anyio.wait_readable(alive)

    assert message == "the kubeconfig given cannot be used: its exec plugin did not end within 1.5 s"
    assert os.read(alive, 1) == b""


async def test_j4_cancellation_kills_a_running_exec_plugin_with_its_children(
    alive: int, tmp_path: Path
) -> None:
    script = HANGING.replace("    subprocess", "    print('x', file=alive, flush=True)\n    subprocess")
    user = plugin(tmp_path, script, args=[os.fspath(tmp_path / "alive")])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(load, allow_exec=True), kubeconfig(user=user), None)
        await anyio.wait_readable(alive)
        assert os.read(alive, 2) == b"x\n"
        tasks.cancel_scope.cancel()
    await anyio.wait_readable(alive)

    assert os.read(alive, 1) == b""


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "true"}},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "true"}},
        {"tokenFile": "/no/such/token"},
    ],
)
async def test_the_error_for_credentials_that_cannot_be_loaded_is_one_line(user: dict[str, Any]) -> None:
    assert (await refusal(kubeconfig(user=user))).startswith("the kubeconfig given cannot be used: ")


# Renewal.


async def test_a_token_file_may_end_in_a_line_feed(tmp_path: Path) -> None:
    credentials = await load(kubeconfig(user={"tokenFile": written(tmp_path / "token", "t0ken\n")}), None)

    assert (await credentials.proof()).headers == {"authorization": "Bearer t0ken"}


async def test_renew_returns_true_only_if_the_credentials_changed(tmp_path: Path) -> None:
    token = tmp_path / "token"
    credentials = await load(kubeconfig(user={"tokenFile": written(token, "one")}), None)
    rejected = await credentials.proof()

    same = await credentials.renew(rejected)
    token.write_text("two")
    other = await credentials.renew(rejected)
    late = await credentials.renew(rejected)

    assert (same, other, late) == (False, True, True)
    assert (await credentials.proof()).headers == {"authorization": "Bearer two"}


async def test_renew_returns_true_only_if_the_certificates_changed(tmp_path: Path) -> None:
    user = {name: os.fspath(tmp_path / path) for name, path in pair(tmp_path).items()}
    credentials = await load(https(user), None)
    rejected = await credentials.proof()

    same = await credentials.renew(rejected)
    pair(tmp_path)
    other = await credentials.renew(rejected)

    assert (same, other) == (False, True)


async def test_a_certificate_without_its_new_key_does_not_replace_the_previous_one(tmp_path: Path) -> None:
    user = {name: os.fspath(tmp_path / path) for name, path in pair(tmp_path).items()}
    credentials = await load(https(user), None)
    rejected, key = await credentials.proof(), (tmp_path / "client.key").read_bytes()

    pair(tmp_path)
    (tmp_path / "client.key").write_bytes(key)
    renewed = await credentials.renew(rejected)

    assert not renewed
    assert credentials.reload_error == (
        "the kubeconfig given cannot be used: its certificates: key values mismatch"
    )


async def test_a_change_of_current_context_does_not_affect_running_clients(tmp_path: Path) -> None:
    config = kubeconfig()
    config["users"].append({"name": "u2", "user": {"token": "of-another-cluster"}})
    config["clusters"].append({"name": "c2", "cluster": {"server": "http://127.0.0.1:2"}})
    config["contexts"].append({"name": "two", "context": {"cluster": "c2", "user": "u2"}})
    path = written(tmp_path / "kubeconfig", config)
    credentials = await load(path, None)

    written(tmp_path / "kubeconfig", config | {"current-context": "two"})
    renewed = await credentials.renew(await credentials.proof())

    assert not renewed
    assert credentials.reload_error == ""


async def test_a_token_for_another_server_is_not_used(tmp_path: Path) -> None:
    path = written(tmp_path / "kubeconfig", kubeconfig())
    credentials = await load(path, None)

    written(tmp_path / "kubeconfig", kubeconfig("http://127.0.0.1:2", {"token": "of-another-cluster"}))
    renewed = await credentials.renew(await credentials.proof())

    assert not renewed
    assert credentials.reload_error == (
        f"kubeconfig {path} names another server now, http://127.0.0.1:2: create another client for that server"
    )


async def test_m8_tls_verification_is_not_disabled_by_a_later_kubeconfig(tmp_path: Path) -> None:
    path = written(tmp_path / "kubeconfig", https())
    credentials = await load(path, None)

    written(tmp_path / "kubeconfig", https({"token": "new"}, **{"insecure-skip-tls-verify": True}))
    renewed = await credentials.renew(await credentials.proof())

    assert not renewed
    assert "insecure-skip-tls-verify" in credentials.reload_error


@pytest.mark.parametrize("user", [{"token": "s3cret"}, {"user": 7, "token": "s3cret"}])
async def test_m2_the_error_for_a_malformed_user_has_no_token(user: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path / "kubeconfig", kubeconfig() | {"users": [{"name": "u", **user}]})

    with pytest.raises(UsageError) as raised:
        await load(path, None)

    assert "s3cret" not in "".join(traceback.format_exception(raised.value))


# In a pod.


@pytest.fixture
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A pod's service account; returns the token file."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    token = tmp_path / "token"
    token.write_text("one")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", os.fspath(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", certifi.where())
    return token


async def test_in_a_pod_its_service_account_is_used(pod: Path) -> None:
    credentials = await load(None, None)

    assert credentials.server == "https://10.96.0.1:443"
    assert (await credentials.proof()).headers == {"authorization": "Bearer one"}
    tls = (await credentials.proof()).tls
    assert tls is not None
    assert tls.check_hostname
    assert credentials.origin == "the service account of this pod"


async def test_in_a_pod_an_explicit_kubeconfig_has_precedence(pod: Path) -> None:
    assert (await load(kubeconfig(), None)).server == HERE


async def test_the_error_for_a_pod_without_a_service_account_is_one_line(pod: Path) -> None:
    put(pod, None)

    assert (await refusal(None)).startswith("the service account of this pod cannot be used: ")


@pytest.mark.parametrize("given", ["pod", "kubeconfig"])
@virtual_time
async def test_l1_a_token_file_is_read_again_once_a_minute(given: str, pod: Path) -> None:
    credentials = await load(None if given == "pod" else kubeconfig(user={"tokenFile": os.fspath(pod)}), None)

    put(pod, "two")
    at_once = await credentials.proof()
    await anyio.sleep(TOKEN_PERIOD)
    later = await credentials.proof()

    assert (at_once.headers, later.headers) == (
        {"authorization": "Bearer one"},
        {"authorization": "Bearer two"},
    )


@pytest.mark.parametrize("content", [None, ""], ids=["gone", "empty"])
@virtual_time
async def test_l1_a_token_file_that_cannot_be_read_keeps_the_previous_token(
    pod: Path, content: str | None
) -> None:
    credentials = await load(None, None)

    put(pod, content)
    await anyio.sleep(TOKEN_PERIOD)

    assert (await credentials.proof()).headers == {"authorization": "Bearer one"}


async def test_entering_a_client_with_an_unusable_kubeconfig_raises(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        async with DPFClient(kubeconfig=tmp_path / "nope"):
            pass


async def test_m10_no_credential_shows_in_a_repr() -> None:
    credentials = await load(kubeconfig(), None)

    for thing in (credentials, credentials._source, DPFClient(kubeconfig=kubeconfig())):
        assert "t0ken" not in f"{thing!r} {thing!s}"
