"""What an installation brings: the agent inside the package, the fitting PyTorch, scripts for anyone's machine."""

import os
import shutil
import subprocess
import sys
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import util
from pathlib import Path
from threading import Thread

import pytest

from rig.agents.checkpoint import read_agent
from rig.cli.main import main
from rig.errors import RigError
from rig.shipped import AGENTS, shipped_agent

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def torch_build():
    spec = util.spec_from_file_location("torch_build", ROOT / "scripts" / "torch_build.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(target):
    """Build the package as a wheel is built; return the folder of its modules."""
    source = target / "a source"
    source.mkdir()
    for name in ("src", "checkpoints"):
        os.symlink(ROOT / name, source / name)
    for name in ("setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "modules", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    text = (ROOT / "pyproject.toml").read_text().replace('where = ["src"]', 'where = ["modules"]')
    (source / "pyproject.toml").write_text(text)
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", target / "built"]
    subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    return target / "built" / "rig"


def test_what_is_built_holds_the_crafter_agent_and_finds_it_from_any_folder(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    package = build(tmp_path)
    built = {path.relative_to(package) for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    modules = {path.relative_to(ROOT / "src/rig") for path in (ROOT / "src/rig").rglob("*") if path.is_file()}
    agent = {path.relative_to(ROOT) for path in (ROOT / "checkpoints" / AGENTS["crafter"]).iterdir()}
    assert built == {path for path in modules | agent if path.suffix != ".pyc"}, "package-data in pyproject.toml"
    assert read_agent(package / "checkpoints" / AGENTS["crafter"])["environment"] == "crafter"
    ask = "from rig.shipped import shipped_agent as find; print(find('crafter')); print(find('minetest'))"
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    told = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert told.stdout.split() == [str(package / "checkpoints" / "rig-crafter-small")]
    assert "rig-minetest-small, the agent for minetest, is not part of this installation" in told.stderr
    assert "--agent" in told.stderr


@pytest.mark.parametrize("world", AGENTS)
def test_a_checkout_shows_its_agents_from_any_folder(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path(shipped_agent(world)) == ROOT / "checkpoints" / AGENTS[world]
    monkeypatch.chdir(ROOT)
    assert shipped_agent(world) == f"checkpoints/{AGENTS[world]}", "as short as it can be said"


def test_a_world_without_an_agent_has_none_and_a_lost_one_is_named(tmp_path, monkeypatch):
    assert shipped_agent("elsewhere") == ""
    monkeypatch.setattr("rig.shipped._places", lambda: iter([tmp_path]))
    assert shipped_agent("crafter", required=False) == ""
    with pytest.raises(RigError, match=r"rig-crafter-small .*--agent"):
        shipped_agent("crafter")


def test_the_demonstration_says_in_a_sentence_where_a_lost_agent_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rig.shipped._places", lambda: iter([tmp_path]))
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 2
    assert "checkpoints/rig-crafter-small of rig's repository" in capsys.readouterr().err


class _Answering(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    """Yield a function that serves a status, and returns the address."""
    servers = []

    def serve(status):
        server = HTTPServer(("127.0.0.1", 0), _Answering)
        server.status = status
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def plain_linux(torch_build, monkeypatch):
    """A Linux machine whose pip has no settings."""
    monkeypatch.setattr(torch_build, "own_settings", lambda _: "")
    monkeypatch.setattr(torch_build.sys, "platform", "linux")
    monkeypatch.setattr(torch_build.platform, "machine", lambda: "x86_64")
    return partial(monkeypatch.setattr, torch_build)


def test_the_cpu_build_is_chosen_where_its_index_answers(torch_build, plain_linux, index):
    plain_linux("CPU_INDEX", index(200))
    arguments, told = torch_build.choose("cpu")
    assert arguments == ["--extra-index-url", torch_build.CPU_INDEX]
    assert "GB to download" in told
    assert torch_build.choose("cuda")[0] == []


@pytest.mark.parametrize("status", [403, 503])
def test_an_index_that_refuses_is_left_out(torch_build, plain_linux, index, status):
    plain_linux("CPU_INDEX", index(status))
    arguments, told = torch_build.choose("cpu")
    assert arguments == []
    assert "does not answer" in told


def test_an_index_that_nobody_serves_or_that_says_nothing_is_left_out_in_time(torch_build, plain_linux):
    import socket

    plain_linux("ANSWERS_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not torch_build.answers(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert not torch_build.answers("http://nowhere.invalid")


def test_what_the_user_told_pip_is_kept(torch_build):
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        assert torch_build.own_settings({name: "1"}) == name


def test_what_a_configuration_file_told_pip_is_kept(torch_build, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://example.org/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert torch_build.own_settings({}).endswith("index-url")


def test_a_machine_without_a_choice_is_left_alone(torch_build, plain_linux, monkeypatch):
    monkeypatch.setattr(torch_build.platform, "machine", lambda: "aarch64")
    assert torch_build.choose("cpu")[0] == []


def test_a_word_that_is_no_build_is_refused(torch_build, monkeypatch, capsys):
    monkeypatch.setattr(torch_build, "find_spec", lambda _: None)
    monkeypatch.setenv("TORCH", "gpu")
    assert torch_build.main() == 2
    assert "TORCH=gpu: one of cpu, cuda" in capsys.readouterr().err


@pytest.mark.parametrize("script", sorted(path.name for path in (ROOT / "scripts").glob("*.sh")))
def test_scripts_are_read_by_a_plain_shell(script):
    shell = shutil.which("dash") or "/bin/sh"
    subprocess.run([shell, "-n", ROOT / "scripts" / script], check=True)


def test_who_may_not_install_is_told_what_to_ask_for_and_goes_on(tmp_path):
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "sudo").write_text("#!/bin/sh\nexit 1\n")
    for name in ("id", "sudo"):
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "apt_install.sh", "one", "two"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "apt-get install one two" in done.stderr
