"""Weights of others: fetched once and checked, whatever the network does; what a configuration that names them is told."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torchvision

from vgspeech.config import ExperimentConfig, ImageEncoderConfig
from vgspeech.errors import ConfigError, DataError
from vgspeech.model_check import check_model_config
from vgspeech.models import build_model
from vgspeech.pretrained import HEADER, read_weights_table

ROOT = Path(__file__).resolve().parents[2]
CONTENT = os.urandom(3 * (1 << 20) + 12345)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RESNET18 = ImageEncoderConfig(type="resnet18", weights="resnet18-imagenet")


class Files(ThreadingHTTPServer):
    """Serves one file: honours ranges, breaks off when told to, notes what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.content, self.tag, self.kind, self.status = CONTENT, '"one"', "application/octet-stream", 200
        self.break_after: list[int] = []
        """Bytes after which each of the next answers ends."""
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/w.pth"


class _Answer(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        files, asked = self.server, self.headers["Range"]
        files.ranges.append(asked)
        start = 0
        if asked and self.headers["If-Range"] == files.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        status = files.status if start == 0 else 206 if start < len(files.content) else 416
        body = files.content[start:] if status in (200, 206) else b""
        self.send_response(status)
        self.send_header("Content-Type", files.kind)
        self.send_header("Content-Length", str(len(body)))
        if files.tag:
            self.send_header("ETag", files.tag)
        self.end_headers()
        if files.break_after:
            body = body[: files.break_after.pop(0)]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: tests look at what was asked for themselves."""


@pytest.fixture
def files() -> Iterator[Files]:
    server = Files()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies lie."""
    monkeypatch.setenv("VGS_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def table(tmp_path: Path, url: str, digest: str = f"sha256:{SHA256[:8]}", how: str = "direct", mib: str = "3.0118") -> Path:
    path = tmp_path / "table.tsv"
    row = ("mine", "backbone", how, "w.pth", mib, digest, url, "CC0", "a test's")
    path.write_text("\t".join(HEADER) + "\n" + "\t".join(row) + "\n")
    return path


def fetch(*arguments: str | Path, status: int = 0) -> str:
    """Run local/fetch_weights.sh; all that it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [ROOT / "local/fetch_weights.sh", *arguments],
        env={**environment, "PYTHONPATH": str(ROOT / "pylib")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status and "Traceback" not in done.stdout, done.stdout
    return done.stdout


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_what_is_shipped_is_torchvisions_own() -> None:
    listed = read_weights_table()
    for name, key in {
        "resnet18-imagenet": "ResNet18_Weights.IMAGENET1K_V1",
        "resnet34-imagenet": "ResNet34_Weights.IMAGENET1K_V1",
        "resnet50-imagenet": "ResNet50_Weights.IMAGENET1K_V1",
        "resnet50-imagenet-v2": "ResNet50_Weights.IMAGENET1K_V2",
        "vgg16-imagenet": "VGG16_Weights.IMAGENET1K_V1",
    }.items():
        theirs = torchvision.models.get_weight(key)
        assert (listed[name].url, listed[name].mib) == (theirs.url, theirs.meta["_file_size"])
        assert listed[name].digest.removeprefix("sha256:") in theirs.url
    assert all(item.direct == (item.kind == "backbone") for item in listed.values())


def test_fetched_once_and_compared_from_then_on(files: Files, folder: Path, tmp_path: Path) -> None:
    options = ("--table", table(tmp_path, files.url), "mine")
    printed = fetch(*options)
    assert "3.0 MiB, licence: CC0" in printed and f"SHA-256 {SHA256} (agrees with the published" in printed
    assert left(folder) == {"w.pth", "mine.json"} and (folder / "w.pth").read_bytes() == CONTENT
    assert "was here before" in fetch(*options) and len(files.ranges) == 1
    (folder / "w.pth").write_bytes(CONTENT[:-1] + b"?")
    assert "is not what it was when it came" in fetch(*options, status=3)
    (folder / "w.pth").unlink()
    assert "ready" in fetch(*options)


def test_a_download_that_broke_off_goes_on_where_it_stopped(files: Files, folder: Path, tmp_path: Path) -> None:
    options = ("--table", table(tmp_path, files.url), "mine")
    files.break_after = [1000, 500, 0]
    assert "the connection broke off after 1,500 bytes" in fetch(*options, status=1)
    assert left(folder) == {"w.pth.part", "w.pth.part.json"}
    fetch(*options)
    assert files.ranges == [None, "bytes=1000-", "bytes=1500-", "bytes=1500-"]
    assert left(folder) == {"w.pth", "mine.json"} and (folder / "w.pth").read_bytes() == CONTENT


def test_another_version_on_the_server_comes_from_its_beginning(files: Files, folder: Path, tmp_path: Path) -> None:
    options = ("--table", table(tmp_path, files.url), "mine")
    files.content, files.break_after = b"old" * 1000, [900, 0, 0]
    fetch(*options, status=1)
    files.content, files.tag = CONTENT, '"two"'
    fetch(*options)
    assert files.ranges[-1] == "bytes=900-" and (folder / "w.pth").read_bytes() == CONTENT


def test_killed_when_all_had_come(files: Files, folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    (folder / "w.pth.part").write_bytes(CONTENT)
    (folder / "w.pth.part.json").write_text(json.dumps({"version": '"one"'}))
    fetch("--table", table(tmp_path, files.url), "mine")
    assert files.ranges == [f"bytes={len(CONTENT)}-", None] and left(folder) == {"w.pth", "mine.json"}
    (folder / "mine.json").unlink()  # killed between the file and its record
    assert "ready" in fetch("--table", table(tmp_path, files.url), "mine") and len(files.ranges) == 2


def test_what_is_not_the_published_file_is_not_kept(files: Files, folder: Path, tmp_path: Path) -> None:
    printed = fetch("--table", table(tmp_path, files.url, f"sha256:{'0' * 8}"), "mine", status=3)
    assert f"its SHA256 begins with {SHA256[:8]}, not 00000000; it was removed" in printed and left(folder) == set()
    printed = fetch("--table", table(tmp_path, files.url, mib="3.2"), "mine", status=3)
    assert "has 3.012 MiB, mine has 3.200" in printed and left(folder) == set()
    files.kind = "text/html"
    assert "a web page instead of the file" in fetch("--table", table(tmp_path, files.url), "mine", status=1)
    files.status = 404
    assert "the server answers 404" in fetch("--table", table(tmp_path, files.url), "mine", status=1)
    assert left(folder) == set()


def test_an_unpublished_digest_is_recorded_at_the_first_time(files: Files, folder: Path, tmp_path: Path) -> None:
    options = ("--table", table(tmp_path, files.url, "-", mib="-"), "mine")
    printed = fetch(*options)
    assert f"SHA-256 {SHA256} (not published, recorded for later)" in printed and "size not known" in printed
    assert json.loads((folder / "mine.json").read_text())["sha256"] == SHA256
    md5 = hashlib.md5(CONTENT).hexdigest()
    (folder / "mine.json").unlink()
    assert f"agrees with the published md5:{md5}" in fetch("--table", table(tmp_path, files.url, f"md5:{md5}"), "mine")


def test_without_a_network_the_way_by_hand_is_told(files: Files, folder: Path, tmp_path: Path) -> None:
    files.server_close()
    options = ("--table", table(tmp_path, files.url))
    printed = fetch(*options, "mine", status=1)
    assert "cannot be reached" in printed and left(folder) == set()
    assert f"by hand: get {files.url} with a browser, then: local/fetch_weights.sh --from FILE mine" in printed
    (tmp_path / "got.bin").write_bytes(CONTENT)
    fetch(*options, "--from", tmp_path / "got.bin", "mine")
    assert (folder / "w.pth").read_bytes() == CONTENT
    for name in ("mine.json", "w.pth"):
        (folder / name).unlink()
    (tmp_path / "got.bin").write_bytes(CONTENT[1:])
    assert "is not mine" in fetch(*options, "--from", tmp_path / "got.bin", "mine", status=3) and left(folder) == set()
    by_hand = ("--table", table(tmp_path, files.url, how="by-hand"), "mine")
    assert "no program can fetch it" in fetch(*by_hand, status=1)


def test_mistakes_get_help(folder: Path, tmp_path: Path) -> None:
    listed = fetch("--list")
    assert "vgg16-imagenet" in listed and "by hand" in listed and "licence: " in listed
    assert "did you mean resnet18-imagenet?" in fetch("resnet18-imagnet", status=2)
    assert "expected one argument" in fetch(status=2) and "takes no name" in fetch("--list", "true", "x", status=2)
    for digest, url, message in (("sha256:0", "http://x", "digest is"), ("-", "file:///etc/passwd", "url begins")):
        with pytest.raises(DataError, match=message):
            read_weights_table(table(tmp_path, url, digest))


def test_a_configuration_that_names_missing_weights_is_told_the_command(folder: Path) -> None:
    with pytest.raises(ConfigError) as told:
        check_model_config(ExperimentConfig(image=RESNET18))
    assert "44.7 MiB" in told.value.what and told.value.hint == "fetch it once: local/fetch_weights.sh resnet18-imagenet"
    with pytest.raises(ConfigError, match="did you mean resnet18-imagenet"):
        check_model_config(ExperimentConfig(image=ImageEncoderConfig(type="resnet18", weights="resnet18-imagene")))
    with pytest.raises(ConfigError, match=r"no such file: a/b.pth\n.*resnet18-imagenet \(local/fetch_weights.sh fetches"):
        check_model_config(ExperimentConfig(image=ImageEncoderConfig(type="resnet18", weights="a/b.pth")))


def test_fetched_weights_fill_the_backbone(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(theirs, tmp_path / "theirs.pth")
    line = ("resnet18-imagenet", "backbone", "direct", "r.pth", "-", "-", "http://127.0.0.1:9/", "x", "x")
    (tmp_path / "table.tsv").write_text("\t".join(HEADER) + "\n" + "\t".join(line) + "\n")
    fetch("--table", tmp_path / "table.tsv", "--from", tmp_path / "theirs.pth", "resnet18-imagenet")
    model = build_model(ExperimentConfig(embedding_dim=1024, image=RESNET18))
    assert torch.equal(model.image.backbone.state_dict()["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
