"""What a report reads: a model directory and the corpus that it was evaluated on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.datadir import SpeechSet
from vgspeech.errors import DataError
from vgspeech.files import read_json
from vgspeech.report.assets import SOUND_RATE
from vgspeech.waves import read_wave


@dataclass(frozen=True)
class ReportInput:
    """A model directory, the corpus it was evaluated on, and what may be shown.

    Attributes:
        model: exp/<model>.
        data: data/<corpus>.
        results: folder of eval/ and lexicon/; the model directory, if the model was not taken from elsewhere.
        audio: False leaves all recordings out.
        allow_pipes: run the commands that wav.scp may hold.
    """

    model: Path
    data: Path
    results: Path
    audio: bool = True
    allow_pipes: bool = False

    @cached_property
    def config(self) -> ExperimentConfig:
        """The model's resolved configuration."""
        return load_config(ExperimentConfig, self.model / "config.yaml")

    @property
    def corpus(self) -> str:
        """Name of the corpus."""
        return self.data.resolve().name

    @property
    def synthetic(self) -> bool:
        """Whether the corpus is the built-in one."""
        return self.corpus == "mini" or (self.data / "release" / "mini_corpus.yaml").exists()

    def eval_splits(self) -> list[str]:
        """Splits that something was evaluated on, shortest name first (``test`` before ``test_unseen``)."""
        folder = self.results / "eval" / self.corpus
        found = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        return sorted(found, key=lambda name: (not name.startswith("test"), len(name), name))

    def eval_folder(self, split: str) -> Path:
        """Where the results of a split are."""
        return self.results / "eval" / self.corpus / split

    def each_split(self, name: str) -> dict[str, Any]:
        """Split to the content of a JSON file of its evaluation, where there is one."""
        paths = {split: self.eval_folder(split) / name for split in self.eval_splits()}
        return {split: read_json(path) for split, path in paths.items() if path.exists()}

    def speech(self, split: str, lang: str) -> SpeechSet | None:
        """A speech set, or None when the corpus has none."""
        key = (split, lang)
        if key not in self._speech:
            path = self.data / "speech" / f"{split}_{lang}"
            self._speech[key] = SpeechSet.load(path) if path.is_dir() else None
        return self._speech[key]

    @cached_property
    def _speech(self) -> dict[tuple[str, str], SpeechSet | None]:
        return {}

    def may_show(self, split: str, lang: str, utt: str) -> bool:
        """Whether the speaker of a caption agreed to be shown; false when the corpus does not have the caption."""
        data = self.speech(split, lang)
        return data is not None and utt in data.utt2spk and data.may_share(utt)

    def sound(
        self, split: str, lang: str, utt: str, start_s: float | None = None, end_s: float | None = None
    ) -> np.ndarray | None:
        """A recording or a part of it at 16 kHz; None when sound is left out or its speaker did not agree.

        Args:
            split, lang, utt: which caption.
            start_s, end_s: part of the caption in seconds, cut at its ends; None takes all of it.
        """
        data = self.speech(split, lang)
        if not self.audio or data is None or not self.may_show(split, lang, utt):
            return None
        path, first, last = data.audio_location(utt)
        begin = first or 0.0
        if start_s is not None and end_s is not None:
            limit = begin + data.utt2dur[utt]
            first, last = max(begin, begin + start_s), min(limit, begin + end_s)
        return read_wave(path, SOUND_RATE, first, last, allow_pipes=self.allow_pipes)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl``; none without the file.

    Raises:
        DataError: a line is not JSON.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        return [json.loads(line) for line in lines if line.strip()]
    except json.JSONDecodeError as error:
        raise DataError(f"not one JSON object a line: {error.msg}", where=str(path)) from error
