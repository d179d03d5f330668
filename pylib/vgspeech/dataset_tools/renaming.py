"""Copies of a speech set, with other ids when wanted."""

from __future__ import annotations

from pathlib import Path

from vgspeech.dataset_tools.layout import SetFile, SpeechFiles, new_set_path
from vgspeech.dataset_tools.parts import copy_rest, write_spk2utt
from vgspeech.errors import UsageError
from vgspeech.files import atomic_folder
from vgspeech.streams import TABLE, Records, read_blocks, read_keys, read_records
from vgspeech.tables import StrPath


def copy_set(source: SpeechFiles, out: StrPath, *, utt_prefix: str = "", spk_prefix: str = "") -> int:
    """Copy a speech set to a new folder; features are not copied, the new scp files point to the same archives.

    Recordings keep their ids when there is a ``segments`` file; else an utterance is its recording. A set whose
    utterances were renamed says in ``utt2uniq`` what they were called first, which is their name in archives.

    Args:
        source: the set.
        out: the new set's folder.
        utt_prefix, spk_prefix: put before every utterance's or speaker's id. Ids should start with their speaker's, so
            ``utt_prefix`` starts with ``spk_prefix`` as a rule.

    Returns:
        The number of utterances.

    Raises:
        UsageError: a prefix holds a blank or ``/``, or ``out`` cannot be written.
        DataError: the set is not well-formed.
    """
    source.refuse_empty()
    for option, given in (("--utt-prefix", utt_prefix), ("--spk-prefix", spk_prefix)):
        if any(character.isspace() or character in "/\0" for character in given):
            raise UsageError(f"{option} '{given}' contains a blank or '/'")
    out = new_set_path(out, [source.path])
    with atomic_folder(out) as new:
        for table in source.tables.values():
            _copy_table(source, table, new, utt_prefix.encode(), spk_prefix.encode())
        if utt_prefix and "utt2uniq" not in source.tables:
            _note_names(source.path / "utt2spk", new / "utt2uniq", utt_prefix.encode())
        write_spk2utt(new)
        copy_rest(source, new)
        return len(read_keys(new / "utt2spk"))


def _note_names(utt2spk: Path, file: Path, prefix: bytes) -> None:
    with open(file, "wb") as stream:
        stream.writelines(b"%s%s %s\n" % (prefix, key, key) for _, key in read_records(utt2spk, TABLE))


def _copy_table(source: SpeechFiles, table: SetFile, out: Path, utt_prefix: bytes, spk_prefix: bytes) -> None:
    prefix = {"utterance": utt_prefix, "speaker": spk_prefix, "recording": b""}[table.owner]
    file = out / table.name
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as stream:
        for block in read_blocks(source.path / table.name, table.form):
            stream.writelines(_renamed(block, table, prefix, spk_prefix))


def _renamed(block: Records, table: SetFile, prefix: bytes, spk_prefix: bytes) -> list[bytes]:
    """The records' text with prefixes; segments of a set without other recordings stay as they are."""
    if table.name == "utt2spk":
        return [prefix + key + b" " + spk_prefix + text[len(key) + 1 :] for text, key in block]
    if not prefix:
        return [text for text, _ in block]
    if table.form.kind != "times":
        return [prefix + text for text, _ in block]
    between = b"\n" + prefix
    return [prefix + text[:-1].replace(b"\n", between) + b"\n" for text, _ in block]
