"""Where the API server is and who we are to it; every mistake in that is one sentence."""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from kubernetes_asyncio.config import incluster_config

from dpf_async import DPFClient, UsageError
from dpf_async._api.config import load

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
    """Write a file, or take it away."""
    if content is None:
        path.unlink()
    else:
        path.write_text(content)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig and no pod but those a test makes."""
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    for variable in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(variable, raising=False)


async def refusal(config: Any, context: str | None = None, **options: bool) -> str:
    with pytest.raises(UsageError) as refused:
        await load(config, context, **options)
    message = str(refused.value)
    assert "\n" not in message
    return message


async def test_a_dict_a_path_and_the_variable_lead_to_the_same_server(
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


async def test_the_usual_place_is_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    written(tmp_path / ".kube" / "config", kubeconfig())

    assert (await load(None, None)).server == HERE


async def test_a_context_is_chosen_by_name(tmp_path: Path) -> None:
    config = kubeconfig()
    config["clusters"].append({"name": "c2", "cluster": {"server": "http://127.0.0.1:2/"}})
    config["contexts"].append({"name": "two", "context": {"cluster": "c2", "user": "u"}})

    assert (await load(config, "two")).server == "http://127.0.0.1:2"


async def test_a_kubeconfig_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    named = await refusal(tmp_path / "nope")
    unnamed = await refusal(None)

    assert named == (
        f"kubeconfig {tmp_path}/nope does not exist: name one with kubeconfig= or $KUBECONFIG, or run in a pod"
    )
    assert unnamed.startswith("kubeconfig ~/.kube/config does not exist (nothing else was named): ")


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
async def test_m6_a_damaged_kubeconfig_is_one_sentence_and_runs_nothing(content: str, tmp_path: Path) -> None:
    path = written(tmp_path / "kubeconfig", content)

    message = await refusal(path)

    assert message.startswith(f"kubeconfig {path} cannot be used: ")


@pytest.mark.parametrize("content", [{}, {"clusters": []}, kubeconfig() | {"contexts": None}])
async def test_the_same_goes_for_one_given_as_a_dict(content: dict[str, Any]) -> None:
    assert (await refusal(content)).startswith("the kubeconfig given cannot be used: ")


async def test_a_kubeconfig_without_a_current_context_says_so() -> None:
    config = kubeconfig()
    del config["current-context"]

    assert "current-context" in await refusal(config)
    assert (await load(config, "one")).server == HERE


async def test_a_context_that_is_not_there_is_named() -> None:
    message = await refusal(kubeconfig(), "nope")

    assert message.startswith("the kubeconfig given (context nope) cannot be used: ")
    assert "name nope" in message


async def test_a_context_whose_cluster_is_not_there_is_one_sentence() -> None:
    assert "nowhere" in await refusal(kubeconfig(), "lost")


async def test_m8_tls_is_verified_unless_both_sides_say_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
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


@pytest.mark.parametrize("field", ["certificate-authority", "client-certificate"])
async def test_a_certificate_that_is_not_there_or_is_none_is_one_sentence(field: str, tmp_path: Path) -> None:
    nonsense = written(tmp_path / "nonsense.pem", "not a certificate")

    for path in (os.fspath(tmp_path / "nope.pem"), nonsense):
        https = kubeconfig("https://127.0.0.1:1", {"client-certificate": path, "client-key": path})
        if field == "certificate-authority":
            https = kubeconfig("https://127.0.0.1:1")
            https["clusters"][0]["cluster"][field] = path
        assert "cannot be used" in await refusal(https)


# Tokens.


def plugin(tmp_path: Path, script: str) -> dict[str, Any]:
    path = tmp_path / "plugin"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o700)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": os.fspath(path)}}


async def test_an_exec_plugin_gives_the_token(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "x"},
    }

    credentials = await load(kubeconfig(user=plugin(tmp_path, f"print({json.dumps(answer)!r})")), None)

    assert (await credentials.proof()).headers == {"authorization": "Bearer x"}


async def test_m2_an_exec_plugin_that_fails_is_one_sentence_without_a_word_of_what_it_printed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    user = plugin(tmp_path, "import sys; sys.exit('refresh token s3cret is expired')")

    with caplog.at_level(logging.DEBUG), pytest.raises(UsageError) as refused:
        await load(kubeconfig(user=user), None)
    shown = "".join(traceback.format_exception(refused.value))

    assert str(refused.value) == (
        "the kubeconfig given cannot be used: its exec plugin failed; run the plugin by hand to see why"
    )
    assert "s3cret" not in shown
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/plugin"}},
        {"exec": {"command": "true"}},
        {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "true"}},
        {"tokenFile": "/no/such/token"},
    ],
)
async def test_credentials_that_cannot_be_had_are_one_sentence(user: dict[str, Any]) -> None:
    assert (await refusal(kubeconfig(user=user))).startswith("the kubeconfig given cannot be used: ")


async def test_a_token_file_may_end_in_a_line_feed(tmp_path: Path) -> None:
    credentials = await load(kubeconfig(user={"tokenFile": written(tmp_path / "token", "t0ken\n")}), None)

    assert (await credentials.proof()).headers == {"authorization": "Bearer t0ken"}


async def test_renewed_credentials_are_told_from_the_same_ones(tmp_path: Path) -> None:
    token = tmp_path / "token"
    credentials = await load(kubeconfig(user={"tokenFile": written(token, "one")}), None)
    rejected = await credentials.proof()

    same = await credentials.renew(rejected)
    token.write_text("two")
    other = await credentials.renew(rejected)
    late = await credentials.renew(rejected)

    assert (same, other, late) == (False, True, True)
    assert (await credentials.proof()).headers == {"authorization": "Bearer two"}


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


async def test_in_a_pod_a_kubeconfig_that_was_named_goes_first(pod: Path) -> None:
    assert (await load(kubeconfig(), None)).server == HERE


async def test_a_pod_without_a_service_account_is_one_sentence(pod: Path) -> None:
    put(pod, None)

    assert (await refusal(None)).startswith("the service account of this pod cannot be used: ")


def due_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the token file read again by every request, and not only once a minute."""
    monkeypatch.setattr(incluster_config, "TOKEN_REFRESH_PERIOD", timedelta(0))


async def test_l1_a_rotated_token_is_used_from_the_next_reading_on(
    pod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due_again(monkeypatch)
    credentials = await load(None, None)
    put(pod, "two")

    assert (await credentials.proof()).headers == {"authorization": "Bearer two"}


@pytest.mark.parametrize("content", [None, ""], ids=["gone", "empty"])
async def test_l1_a_token_that_cannot_be_read_just_now_leaves_the_last_one(
    pod: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    due_again(monkeypatch)
    credentials = await load(None, None)
    put(pod, content)

    assert (await credentials.proof()).headers == {"authorization": "Bearer one"}


async def test_a_client_whose_kubeconfig_cannot_be_used_says_so_on_entering(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        async with DPFClient(kubeconfig=tmp_path / "nope"):
            pass


async def test_m10_no_credential_shows_in_a_repr() -> None:
    credentials = await load(kubeconfig(), None)

    for thing in (credentials, credentials._source, DPFClient(kubeconfig=kubeconfig())):
        assert "t0ken" not in f"{thing!r} {thing!s}"
