"""Stage 1: the features of a speech set, made by parallel jobs and joined.

A set's features lie in ``feats/``::

    feats/<name>.<job>.ark               what the jobs wrote
    feats/<name>.scp                     all utterances; the scp is written last, so it is there when all of it is there
    feats/<name>.yaml                    the front end's settings
    feats/<name>.utt2num_frames
    feats/<name>.rejected                utterances whose sound could not be used, and why
    feats.scp, utt2num_frames            links to those of the set's default front end

An utterance's features do not depend on the number of jobs, only the archive that holds them does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vgspeech.archive import ArchiveReader, ArchiveWriter, merge_scps
from vgspeech.audio import Features, FrontEnd, log_mel
from vgspeech.config import FrontEndConfig, load_config, save_config
from vgspeech.datadir import SpeechSet, job_slice
from vgspeech.errors import DataError
from vgspeech.files import need_space
from vgspeech.progress import track
from vgspeech.tables import check_rejected, read_table, write_rejected, write_table
from vgspeech.waves import read_wave

DEFAULT_FRONT_END = "fbank"
RECORD_BYTES = 80
"""About what an archive and its scp hold of a matrix besides its values."""


@dataclass(frozen=True)
class FeatureCounts:
    """What was made: utterances in the set, made and rejected ones, and the sound in seconds."""

    total: int
    made: int
    rejected: int
    seconds: float


def _part(speech: SpeechSet, name: str, job: int | str, suffix: str) -> Path:
    return speech.path / "feats" / f"{name}.{job}.{suffix}"


def rejected_list(speech: SpeechSet, name: str) -> Path:
    """The file that lists utterances without features of a front end, with the reasons."""
    return speech.path / "feats" / f"{name}.rejected"


def make_features(
    speech: SpeechSet, config: FrontEndConfig, job: int, num_jobs: int, *, allow_pipes: bool = False
) -> FeatureCounts:
    """Compute one job's share of a set's features.

    Args:
        speech: the set.
        config: the front end.
        job: from 1 to ``num_jobs``; jobs take contiguous shares of the sorted utterances.
        num_jobs: number of jobs.
        allow_pipes: see `read_wave`.

    Returns:
        The share's counts; utterances that could not be used are listed for `merge_features`.
    """
    front_end = FrontEnd(config)
    mine = speech.ids[job_slice(len(speech), job, num_jobs)]
    frames: dict[str, str] = {}
    rejected: dict[str, str] = {}
    samples = 0
    ark, scp = _part(speech, config.name, job, "ark"), _part(speech, config.name, job, "scp")
    # The joined scp of an earlier run must not point into archives that are being replaced.
    (ark.parent / f"{config.name}.scp").unlink(missing_ok=True)
    # Jobs begin in order, so that the first one sees to it that there is room for all.
    ahead = speech.ids[job_slice(len(speech), job, num_jobs).start :]
    need_space(ark, expected_bytes(speech, ahead, config), f"{config.name} features of {speech.name}")
    with ArchiveWriter(ark, scp) as writer:
        for utterance in track(mine, total=len(mine), what="features", unit="utterances"):
            try:
                path, start, end = speech.audio_location(utterance)
                wave = read_wave(path, config.sample_rate, start, end, allow_pipes=allow_pipes)
                features = front_end(wave)
                if not len(features):
                    raise DataError(f"is too short for one frame ({len(wave)} samples)", where=path)
            except DataError as error:
                rejected[utterance] = f"{error.where}: {error.what}"
                continue
            writer.write(utterance, features)
            frames[utterance] = str(len(features))
            samples += len(wave)
    write_table(_part(speech, config.name, job, "utt2num_frames"), frames)
    write_rejected(_part(speech, config.name, job, "rejected"), rejected.items())
    return FeatureCounts(len(mine), len(frames), len(rejected), samples / config.sample_rate)


class LogMels(Mapping[str, Features]):
    """Features of a set as log-mel energies (T, bins), whatever its front end: what silence, statistics and pictures look at.

    Args:
        scp: ``feats/<front-end>.scp``, or the link ``feats.scp``; features without a yaml beside them, which are not ours, are
            taken as they are.
    """

    def __init__(self, scp: Path) -> None:
        self._features = ArchiveReader(scp)
        about = scp.resolve().with_suffix(".yaml")
        self.front_end = load_config(FrontEndConfig, about) if about.is_file() else FrontEndConfig()

    def __getitem__(self, utterance: str) -> Features:
        return log_mel(self._features[utterance], self.front_end)

    def __iter__(self) -> Iterator[str]:
        return iter(self._features)

    def __len__(self) -> int:
        return len(self._features)


def expected_bytes(speech: SpeechSet, utterances: Sequence[str], config: FrontEndConfig) -> float:
    """Size of the utterances' features in an archive, by ``utt2dur``."""
    frames = sum(speech.utt2dur[utterance] for utterance in utterances) * 1000 / config.frame_shift_ms
    return frames * config.width * 4 + len(utterances) * RECORD_BYTES


def merge_features(speech: SpeechSet, config: FrontEndConfig, num_jobs: int, max_bad: float) -> FeatureCounts:
    """Join the jobs' features and make them the set's.

    Args:
        speech: the set.
        config: the front end.
        num_jobs: number of jobs that ran.
        max_bad: largest fraction of rejected utterances.

    Returns:
        The set's counts.

    Raises:
        DataError: a job's output is missing, utterances were lost, or too many were rejected; then they are listed, but
            no ``feats/<name>.scp`` is written.
    """
    jobs = range(1, num_jobs + 1)
    frames, rejected = (
        {key: value for job in jobs for key, value in read_table(_part(speech, config.name, job, kind)).items()}
        for kind in ("utt2num_frames", "rejected")
    )
    folder = speech.path / "feats"
    write_rejected(rejected_list(speech, config.name), rejected.items())
    check_rejected(rejected_list(speech, config.name), len(speech), max_bad)
    if sorted(frames | rejected) != speech.ids:
        missing = sorted(set(speech.ids) - set(frames) - set(rejected))[:3]
        what = f"the jobs did not account for every utterance (first missing: {', '.join(missing) or 'none'})"
        raise DataError(what, where=str(speech.path), hint="run the step again")
    save_config(config, folder / f"{config.name}.yaml")
    write_table(folder / f"{config.name}.utt2num_frames", frames)
    merge_scps([_part(speech, config.name, job, "scp") for job in jobs], folder / f"{config.name}.scp")
    _link_default(speech.path, config.name)
    _remove_parts(folder, config.name, num_jobs)
    shift = config.frame_shift_ms / 1000
    return FeatureCounts(len(speech), len(frames), len(rejected), shift * sum(map(int, frames.values())))


def _link_default(path: Path, name: str) -> None:
    """``feats.scp`` and ``utt2num_frames`` show the default front end, or whichever was made first without it."""
    if name != DEFAULT_FRONT_END and (path / "feats.scp").exists():
        return
    for link, target in (("utt2num_frames", f"{name}.utt2num_frames"), ("feats.scp", f"{name}.scp")):
        temporary = path / f".{link}.{os.getpid()}.tmp"
        temporary.symlink_to(Path("feats") / target)
        os.replace(temporary, path / link)


def _remove_parts(folder: Path, name: str, num_jobs: int) -> None:
    """Remove the jobs' small files, and archives left by an earlier run with more jobs."""
    for path in folder.glob(f"{name}.*"):
        job, _, kind = path.name[len(name) + 1 :].partition(".")
        if job.isdigit() and (kind != "ark" or int(job) > num_jobs):
            path.unlink()
