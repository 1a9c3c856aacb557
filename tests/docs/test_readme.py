"""The programs of README.md run; its make targets exist, and so do the links of all pages."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import anyio

from dpf_async import load_site
from dpf_async.sim import Simulator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TESTING = (ROOT / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_program_of_the_readme_is_the_example_file() -> None:
    shown = BLOCKS[0].strip()
    example = (ROOT / "examples" / "provision.py").read_text()

    assert shown in example


async def test_the_program_of_the_readme_brings_a_host_to_ready_with_only_a_kubeconfig(
    tmp_path: Path,
) -> None:
    program = tmp_path / "program.py"
    program.write_text(BLOCKS[0])
    async with Simulator() as sim:
        site = load_site(ROOT / "examples" / "site.yaml")
        async with sim.client() as dpf:
            await dpf.create_initialization_objects(site, bmc_password="simulated")
            await dpf.site_accepted(site, timeout=60)
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        environment = {**os.environ, "KUBECONFIG": str(tmp_path / "kubeconfig")}

        with anyio.fail_after(120):
            done = await anyio.run_process([sys.executable, str(program)], env=environment, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert "node-02-00-00-00-0a-09: drained" in done.stdout.decode()
    assert "node-02-00-00-00-0a-09: power cycled" in done.stdout.decode()
    assert done.stdout.decode().strip().endswith(": Ready")


async def test_the_test_that_the_readme_shows_passes() -> None:
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1], "README.md", "exec"), names)
    (test,) = (value for value in names.values() if inspect.iscoroutinefunction(value))

    await test()


def test_the_example_of_the_testing_page_is_a_test() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", TESTING, re.MULTILINE | re.DOTALL)

    assert example in (ROOT / "tests" / "integration" / "test_watch.py").read_text()


def test_the_links_of_the_pages_resolve() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_help_lists_the_targets_of_the_readme() -> None:
    output = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    for target in ("demo", "test", "check", "bench"):
        assert f"make {target}" in output
