"""Fetch one file by HTTP, so that a download that was cut short goes on where it stopped.

What has come lies in ``<file>.part``; beside it ``<file>.part.json`` holds what the server called this version of the file.
The next request asks for the rest of that version only (RFC 9110, If-Range); where the server has another one, or does not
say, the file comes from its beginning.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vgspeech.errors import LockedError, VgspeechError
from vgspeech.files import need_space, no_space_left, read_json, write_json
from vgspeech.progress import track

CHUNK = 1 << 20
TIMEOUT_S = 60
TRIES = 3
"""Requests in a row that may break off before the command gives up."""


class DownloadError(VgspeechError):
    """The network or the server failed; what has come is kept."""


class _BrokenOff(Exception):
    """The connection ended before the file did."""


def download(url: str, target: Path, what: str) -> None:
    """Fetch ``url`` to ``target``, which appears whole or not at all.

    Args:
        url: http or https.
        target: the file; its folder is made.
        what: what it is, for messages.

    Raises:
        DownloadError: no network, a refusal of the server, or a connection that broke off too often.
        DataError: the disk has no room for it.
        LockedError: another process is fetching it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with _locked(part) as stream:
        try:
            for attempt in range(1, TRIES + 1):
                if _fetch(url, stream, part, what):
                    break
                if attempt == TRIES:
                    broken = f"the connection broke off after {stream.seek(0, os.SEEK_END):,} bytes"
                    raise DownloadError(f"{what}: {broken}; the same command goes on there", where=url)
            stream.flush()
            os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise no_space_left(part) from error
        os.replace(part, target)
        _version_file(part).unlink(missing_ok=True)


@contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """The partial file, open at its end, which no other process holds; removed where nothing came."""
    with open(part, "ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise LockedError("another process is fetching this file", where=str(part), hint="wait for it") from error
        try:
            yield stream
        finally:
            if os.fstat(stream.fileno()).st_size == 0:
                part.unlink(missing_ok=True)
                _version_file(part).unlink(missing_ok=True)


def _fetch(url: str, stream: IO[bytes], part: Path, what: str) -> bool:
    """One request, of the rest of the file or of all of it; whether the file is whole now."""
    have = stream.seek(0, os.SEEK_END)
    version = read_json(_version_file(part))["version"] if _version_file(part).is_file() else None
    headers = {"User-Agent": "vgspeech", "Accept-Encoding": "identity"}
    if have and version:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    answer = _open(urllib.request.Request(url, headers=headers), what)
    if answer is None:  # there is nothing beyond what has come, or something else: from the beginning
        stream.truncate(0)
        return False
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise DownloadError(f"{what}: the server sent a web page instead of the file", where=url)
        if answer.status != 206:
            stream.truncate(0)
            write_json(_version_file(part), {"version": _version(answer.headers)})
        length = answer.headers.get("Content-Length") or ""
        expected = int(length) if length.isdigit() else None
        if expected is not None:
            need_space(part, expected, what)
        came = 0
        try:
            for block in track(_blocks(answer), total=-(-(expected or CHUNK) // CHUNK), what=what, unit="MiB"):
                stream.write(block)
                came += len(block)
        except _BrokenOff:
            return False
        finally:
            stream.flush()
    return expected is None or came == expected


def _open(request: urllib.request.Request, what: str) -> http.client.HTTPResponse | None:
    """The server's answer; None where it has no such range.

    Raises:
        DownloadError: it cannot be reached, or refuses.
    """
    where = request.full_url
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            return None
        raise DownloadError(f"{what}: the server answers {error.code} ({error.reason})", where=where) from error
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(f"{what}: the server cannot be reached ({reason})", where=where) from error
    return answer


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, until the end.

    Raises:
        _BrokenOff: the connection failed (errors of the disk, which also are OSErrors, arise elsewhere).
    """
    while True:
        try:
            block = answer.read(CHUNK)
        except (http.client.HTTPException, OSError) as error:
            raise _BrokenOff from error
        if not block:
            return
        yield block


def _version(headers: http.client.HTTPMessage) -> str | None:
    """What names this version of the file: a strong ETag, else when it was changed last."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")
