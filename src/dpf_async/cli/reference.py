"""The reference page of dpf-async, written from the verbs themselves: `python -m dpf_async.cli.reference`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import typer

from dpf_async.cli.app import app

_HEAD: Final = """\
# dpf-async

Every flow of the library as a verb: `pip install 'dpf-async[cli]'`.
What a verb found out is on stdout: for a person, or with `-o json` as one document for a program.
`watch` writes one line for each transition.
What happens on the way, questions, and errors are on stderr; an error is one sentence.

## Exit status

| status | means |
| --- | --- |
| 0 | What was asked for is so. |
| 1 | The cluster said no or could not be reached, a wait was in vain, or the answer is no: it differs, is not ready. |
| 2 | A mistake in the command or in a description. Nothing was sent. |
| 130 | Interrupted by Ctrl-C. What DPF asked for stands, and the same line goes on from there. |

Of several hosts one that fails ends none of the others; the status is the gravest.

## What is done to hosts

`--reboot-command` and `--drain-command` stand in for a bare-metal manager.
A command is split into words as a shell would, and run without one.
`{node}` in a word becomes the name of the DPUNode, which `$DPF_NODE` has as well.
It runs until the host was power-cycled, or is free; its output is on stderr.
If it ends with anything but 0, the flow ends for its host, DPF is told nothing, and its question stands.
Without a command the person at the terminal is asked.
`--yes` says that every host may be disturbed, and that a deletion is meant.
It takes no host for rebooted, since DPF would believe it.
On a simulated site `--reboot-command true` does.

<!-- Below: python -m dpf_async.cli.reference. tests/cli/test_reference.py holds it. -->
"""

Command = Any
"""A command or group of click, of which typer has a copy of its own, and no public name."""


def verbs() -> Iterator[tuple[str, Command]]:
    """Every verb by its whole name, in the order of the help."""
    yield from _below("dpf-async", typer.main.get_command(app))


def page() -> str:
    """The page."""
    return "\n".join([_HEAD, *(line for name, verb in verbs() for line in _section(name, verb))])


def _below(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, one in below.items():
        yield from _below(f"{name} {word}", one)


def _section(name: str, verb: Command) -> Iterator[str]:
    arguments = [one for one in verb.params if one.param_type_name == "argument"]
    options = [one for one in verb.params if one.param_type_name == "option"]
    yield f"## {name}"
    yield ""
    # A paragraph is a line: it is broken in the code for the sake of the code.
    for paragraph in inspect.cleandoc(verb.help or "").split("\n\n"):
        yield paragraph.replace("\n", " ")
        yield ""
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_place, arguments)])
    example, _, status = (verb.epilog or "").partition("\n\n")
    yield f"    {usage}"
    yield ""
    if example:
        yield example.replace("Example: ", "Example: `", 1) + "`"
        yield ""
        yield status
        yield ""
    if arguments or options:
        yield "| | |"
        yield "| --- | --- |"
        for one in (*arguments, *options):
            yield f"| {_name(one)} | {_cell(one.help or '')}{_default(one)} |"
        yield ""


def _place(argument: Command) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _name(one: Command) -> str:
    if one.param_type_name == "argument":
        return f"`{_place(one)}`"
    names = ", ".join(f"`{name}`" for name in (*one.opts, *one.secondary_opts))
    if one.is_flag:
        return names
    choices = " or ".join(type(one.default)) if isinstance(one.default, StrEnum) else ""
    return f"{names} {choices or one.metavar or one.name.upper()}"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _default(one: Command) -> str:
    if one.required and one.param_type_name == "option":
        return " Required."
    if isinstance(one.show_default, str):
        return f" Default: {one.show_default}."
    if one.default is None or isinstance(one.default, bool) or callable(one.default):
        return ""
    return f" Default: `{one.default}`." if str(one.default) else ""


if __name__ == "__main__":
    print(page(), end="")
