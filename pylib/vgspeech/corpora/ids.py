"""Identifiers: image ids from release paths, utterance and speaker ids that Kaldi's sorting rules accept.

An image id is the image's path in its release, written so that it can be a table key. The function can be undone, so an
id always leads back to the picture it names, and captions of one image in several languages meet under one id.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

from vgspeech.videos import is_video

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
UNKNOWN_SPEAKER = "unknown"

_PLAIN_PATH = re.compile(r"[A-Za-z0-9_+=,@-][A-Za-z0-9_+=,@.-]*(?:/[A-Za-z0-9_+=,@-][A-Za-z0-9_+=,@.-]*)*")
_PLAIN_IMAGE = re.compile(r"([A-Za-z0-9_+=,@-][A-Za-z0-9_+=,@/-]*)\.(?:jpg|JPG|jpeg|png)")
_NOT_IN_ID = re.compile(r"[%\s\x00-\x1f\x7f-\x9f\ufeff]")  # and the slash
_NOT_IN_PATH = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_NOT_IN_NAME = re.compile(r"[/\s\x00-\x1f\x7f-\x9f\ufeff]")
_BEFORE_HYPHEN = re.compile(r"[\x21-\x2d=]")


def release_path(path: str, base: str = "") -> str:
    """A path of a metadata file as a clean path relative to its root.

    Args:
        path: as written in the metadata, perhaps with leading slashes or, in full, below ``base``.
        base: the base path that the metadata file declares.

    Returns:
        The path without leading slashes, ``.``, ``//`` and ``base``.

    Raises:
        ValueError: the path is empty, leaves its root by ``..``, or holds control characters or broken Unicode.
    """
    if _PLAIN_PATH.fullmatch(path):
        return path
    if base.strip("/") and path.startswith(base.rstrip("/") + "/"):
        path = path[len(base.rstrip("/")) :]
    if _NOT_IN_PATH.search(path):
        raise ValueError(f"path {path!r} holds control characters")
    require_unicode(path)
    clean = posixpath.normpath(path.lstrip("/")) if path.strip("/") else ""
    if clean in ("", "."):
        raise ValueError(f"path {path!r} names no file")
    if clean == ".." or clean.startswith("../"):
        raise ValueError(f"path {path!r} leaves the folder of its release")
    return clean


def image_id(path: str) -> str:
    """The image id of a release path: extension (of an image or video) off, NFC; ``%``, ``/``, whitespace, control
    characters as ``%XX``.

    Args:
        path: a path as ``release_path`` returns it (a leading ``/`` is taken off here too).

    Raises:
        ValueError: nothing is left to make an id of, or the path is not valid Unicode.
    """
    plain = _PLAIN_IMAGE.fullmatch(path)
    if plain:
        return plain[1].replace("/", "%2F")
    require_unicode(path)
    stem = unicodedata.normalize("NFC", path.lstrip("/"))
    root, extension = posixpath.splitext(stem)
    if extension.lower() in IMAGE_EXTENSIONS or is_video(extension):
        stem = root
    if not stem or stem.endswith("/"):
        raise ValueError(f"path {path!r} names no image")
    return path_id(stem)


def path_id(path: str) -> str:
    """A path as a table key: ``%``, ``/``, whitespace and control characters as ``%XX``."""
    return _NOT_IN_ID.sub(_percent, path).replace("/", "%2F")


def image_stem(image: str) -> str:
    """The release path, without its extension, of which ``image_id`` made ``image``."""
    return unquote(image, errors="strict")


def check_name(kind: str, name: str) -> str:
    """``name`` itself when it can be part of a table key.

    Raises:
        ValueError: it is empty or holds whitespace, ``/`` or control characters; the message starts with ``kind``.
    """
    if not name:
        raise ValueError(f"{kind} is empty")
    if _NOT_IN_NAME.search(name):
        raise ValueError(f"{kind} {name!r} holds whitespace or '/'")
    require_unicode(name)
    return name


@lru_cache(maxsize=10000)
def speaker_id(name: str) -> str:
    """A speaker id that sorts right as the prefix of utterance ids.

    Kaldi wants a list that is sorted by utterance to be sorted by speaker too. With ``-`` after the speaker, that fails
    for speakers ``a`` and ``a-b`` (``a-b-1 < a-c``, yet ``a < a-b``), and for any character before ``-`` in ASCII. Such
    characters, and ``=`` itself, become ``=`` and two hexadecimal digits.

    Raises:
        ValueError: the name holds whitespace or ``/``, or is empty.
    """
    return _BEFORE_HYPHEN.sub(lambda match: f"={ord(match[0]):02X}", check_name("speaker", name))


def utterance_id(speaker: str, name: str) -> str:
    """``<speaker id>-<name>``; a speaker prefix that ``name`` already carries is not repeated.

    Args:
        speaker: the speaker's name in the release.
        name: the utterance's name in the release.

    Raises:
        ValueError: one of them holds whitespace or ``/``, or is empty.
    """
    rest = check_name("utterance id", name).removeprefix(f"{speaker}-")
    return f"{speaker_id(speaker)}-{rest or name}"


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode())


def require_unicode(text: str) -> None:
    """Raise ValueError when text holds half of a surrogate pair, which JSON escapes can smuggle in."""
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} is not valid Unicode") from error
