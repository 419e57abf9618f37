"""A hub on loopback that speaks what huggingface_hub asks of one: repositories at commits, and what is given it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "hf_secret_of_a_test"
LFS = re.compile(r".*\.(safetensors|parquet)")


class Hub(ThreadingHTTPServer):
    """Repositories by (kind, id), "models" or "datasets": each has its commits, oldest first, as {path: bytes}.

    Attributes:
        repositories: see the class.
        gated: ids that one must be let in to.
        cut: ids whose files end too early.
        asked: every request so far, as "METHOD /path", and its headers and body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[tuple[str, str], list[dict[str, bytes]]] = {}
        self.gated, self.cut = set(), set()
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, dict, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def give(self, kind: str, repository: str, folder: Path) -> str:
        """Add a commit with the files of `folder`, and return it."""
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        self.repositories.setdefault((kind, repository), []).append(files)
        return commit_of(len(self.repositories[kind, repository]))


def commit_of(number: int) -> str:
    """Return the name of a repository's commit of that number, from 1."""
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


@contextmanager
def hub() -> Iterator[Hub]:
    """Run a hub on loopback."""
    server = Hub()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def settings(url: str, home: Path, token: str = "") -> dict[str, str]:
    """Return the environment of a process whose hub is at `url`, and whose cache and log-in are in `home`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return env | {"HF_HOME": str(home), "HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HUB_DISABLE_XET": "1"}


def with_hub(script: str, url: str, home: Path, *words: str, token: str = "") -> tuple[list, str]:
    """Run `script`, which prints JSON last, with that hub; return that, and all that it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        env=settings(url, home, token),
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(b"")

    def do_GET(self):
        self._answer(b"")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_PUT = do_POST

    def log_message(self, *_):
        pass

    def _answer(self, body: bytes) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append((f"{self.command} {path}", dict(self.headers), body))
        read = re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path)
        file = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if read:
            self._listed(*read.groups())
        elif file:
            self._file("datasets" if file[1] else "models", *file.groups()[1:])
        elif path.startswith("/lfs/"):
            self.server.objects[path.rpartition("/")[2]] = body
            self._send(b"")
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._send(b'{"error": "Invalid credentials"}', 401)
        else:
            self._given(path, body)

    def _files(self, kind: str, repository: str, revision: str) -> dict[str, bytes] | None:
        """Return what a repository holds at a revision; tell where there is none."""
        commits = self.server.repositories.get((kind, repository))
        known = {commit_of(number): files for number, files in enumerate(commits or (), 1)}
        if not commits:
            return self._refuse("RepoNotFound", 404)
        if repository in self.server.gated:
            return self._refuse("GatedRepo", 403)
        if revision == "main":
            return commits[-1]
        return known[revision] if revision in known else self._refuse("RevisionNotFound", 404)

    def _listed(self, kind: str, repository: str, what: str, revision: str) -> None:
        files = self._files(kind, repository, revision)
        if files is None:
            return
        commit = commit_of(1 + self.server.repositories[kind, repository].index(files))
        entries = [{"type": "file", "path": name, "size": len(data), "oid": "1"} for name, data in files.items()]
        about = {"id": repository, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
        self._send(json.dumps(entries if what == "tree" else about).encode())

    def _file(self, kind: str, repository: str, revision: str, name: str) -> None:
        files = self._files(kind, repository, revision)
        if files is not None:
            data = files[name]
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": revision}
            self._send(data, headers=headers, cut=repository in self.server.cut)

    def _given(self, path: str, body: bytes) -> None:
        """Take what is given."""
        if path == "/api/repos/create":
            asked = json.loads(body)
            made = f"{asked.get('organization')}/{asked['name']}"
            if made.startswith("other/"):
                return self._send(b'{"error": "You have no rights to make that"}', 403)
            self.server.repositories.setdefault(("models", made), [])
            return self._send(json.dumps({"url": f"{self.server.url}/{made}"}).encode())
        if path == "/api/validate-yaml":
            return self._send(b'{"errors": [], "warnings": []}')
        if "/preupload/" in path:
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if LFS.fullmatch(one["path"]) else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            return self._send(json.dumps({"files": modes}).encode())
        if path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
            return self._send(answer, headers={"Content-Type": "application/vnd.git-lfs+json"})
        if made := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path):
            return self._commit(made[1], [json.loads(line) for line in body.splitlines()])
        return self._send(b'{"error": "unknown"}', 404)

    def _commit(self, repository: str, lines: list[dict]) -> None:
        files = {
            line["value"]["path"]: base64.b64decode(line["value"]["content"])
            if line["key"] == "file"
            else self.server.objects[line["value"]["oid"]]
            for line in lines
            if line["key"] in ("file", "lfsFile")
        }
        commits = self.server.repositories["models", repository]
        commits.append(files)
        commit = commit_of(len(commits))
        answer = {"success": True, "commitOid": commit, "commitUrl": f"{self.server.url}/{repository}/commit/{commit}"}
        self._send(json.dumps(answer).encode())

    def _refuse(self, code: str, status: int) -> None:
        self._send(b"", status, headers={"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, data: bytes, status: int = 200, headers: dict | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = cut
