"""Ids that do not tell who speaks: names of speakers, and of recordings called after them, hashed with a secret key.

A hash without a key hides nothing: whoever has a list of names hashes them all and looks. So the key is random, lies in a file
that its owner alone can read, and is used again, so that a speaker keeps the same id in every set that is prepared beside it.
What was hashed is not written down; ``wav.scp``, which has to say where recordings are, is the way back.
"""

from __future__ import annotations

import hashlib
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from vgspeech.corpora.captions import Caption, Release
from vgspeech.errors import DataError
from vgspeech.files import atomic_write

KEY_BYTES = 32
HASH_BYTES = 8
"""At a million recordings two have the same id with a probability of 3e-8."""


def open_key(path: Path) -> bytes:
    """The key in a file, which is made, with mode 0600, when it is not there.

    Raises:
        DataError: the file holds no key, or cannot be read or made.
    """
    try:
        if not path.exists():
            with atomic_write(path, private=True) as stream:
                stream.write(secrets.token_hex(KEY_BYTES) + "\n")
        text = path.read_text(encoding="ascii")
        key = bytes.fromhex(text.strip())
    except OSError as error:
        raise DataError(f"the key of the hashed speakers cannot be used: {error.strerror}", where=str(path)) from error
    except ValueError as error:
        raise _no_key(path) from error
    if len(key) != KEY_BYTES:
        raise _no_key(path)
    return key


def _no_key(path: Path) -> DataError:
    hint = "put back the file that was there; without it, remove it, and every speaker gets another id"
    return DataError("not the key of the hashed speakers", where=str(path), hint=hint)


def readable_by_others(path: Path) -> bool:
    """Whether the file's mode lets others read it, as on a disk that knows no modes."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def hide_speakers(releases: Iterable[Release], key: bytes) -> None:
    """Replace ids of speakers, utterances and recordings in releases by hashes; a speaker of several has one id in all.

    Args:
        releases: as read, before languages are put in front of ids. Changed in place.
        key: from `open_key`.
    """
    for release in releases:
        for records in release.splits.values():
            records.captions = [_hidden(caption, key) for caption in records.captions]


def _hidden(caption: Caption, key: bytes) -> Caption:
    speaker = "s" + keyed_hash(key, "speaker", caption.speaker)
    utterance = f"{speaker}-{keyed_hash(key, 'utterance', caption.utterance)}"
    return caption._replace(speaker=speaker, utterance=utterance, recording="r" + keyed_hash(key, "recording", caption.wav))


def keyed_hash(key: bytes, kind: str, name: str) -> str:
    """BLAKE2b (RFC 7693) of a name under a key, in hexadecimal; ``kind`` keeps equal names of different things apart."""
    return hashlib.blake2b(name.encode(), digest_size=HASH_BYTES, key=key, person=kind.encode()).hexdigest()
