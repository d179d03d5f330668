"""The section on training: what was trained on what, and the learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vgspeech.config import ExperimentConfig
from vgspeech.datadir import ImageSet, SpeechSet
from vgspeech.files import read_json
from vgspeech.report.curves import Curve, chart
from vgspeech.report.html import NOTHING, Section, count, duration, facts, language_name, missing, table, text


def training_section(
    config: ExperimentConfig, model: Path, data: Path, metrics: Sequence[Mapping[str, Any]]
) -> Section:
    """Settings, corpus sizes and learning curves.

    Args:
        config: the model's resolved configuration.
        model: its directory.
        data: ``data/<corpus>``.
        metrics: lines of ``metrics.jsonl``.
    """
    corpus = f"<h3>The corpus of this page: {text(data.resolve().name)}</h3>{_corpus(data, config.languages)}"
    body = facts(_settings(config) + _run(model, metrics)) + _curves(metrics) + corpus
    return Section("training", "What was trained", body)


def _settings(config: ExperimentConfig) -> list[tuple[str, str]]:
    audio, image, loss, training = config.audio, config.image, config.loss, config.training
    quantizers = f", quantisers at {', '.join(map(str, audio.quantizers))}" if audio.quantizers else ""
    objective = loss.type if loss.type == "infonce" else f"triplet ({', '.join(loss.mining)}), margin {loss.margin:g}"
    bridge = "" if loss.language_language_weight or len(config.languages) < 2 else "; images are the only bridge"
    normalised = ", normalised" if config.similarity.normalise else ""
    return [
        ("languages", text(", ".join(language_name(lang) for lang in config.languages))),
        ("features", text(f"{config.front_end}, normalised per {config.normalisation}")
         if config.normalisation != "none" else text(config.front_end)),
        *_speech_model(config),
        ("audio encoders", text(f"{audio.type}, {len(config.languages)} x {len(audio.widths)} stages{quantizers}")),
        ("image encoder", text(f"{image.type}, {_start(config)}")),
        ("embedding", text(f"{config.embedding_dim} dimensions, {config.similarity.type}{normalised}")),
        ("loss", text({"infonce": "InfoNCE"}.get(objective, objective) + bridge)),
        ("batch", text(f"{training.batch_size} images, {training.optimizer}, rate {training.learning_rate:g}")),
        ("epochs", text(training.epochs)),
        ("seed", text(config.seed)),
    ]  # fmt: skip


def _speech_model(config: ExperimentConfig) -> list[tuple[str, str]]:
    """The model below the audio encoders, where there is one."""
    speech = config.speech_model
    if speech.name == "none":
        return []
    start = "from scratch" if speech.weights == "none" else f"starting from {Path(speech.weights).name}"
    learned = {"nothing": "frozen", "transformer": "its transformer tuned", "all": "tuned"}[speech.tune]
    return [("speech model", text(f"{speech.name}, layer {speech.layer or 'last'}, {start}, {learned}"))]


def _start(config: ExperimentConfig) -> str:
    """What the image encoder started from, and whether it learned."""
    training, weights = config.training, config.image.weights
    start = "from scratch" if weights == "none" else f"starting from {Path(weights).name}"
    if training.init_from != "none":
        start = f"starting from the model {Path(training.init_from).name}"
    if training.freeze_image_epochs < 0:
        start += ", frozen" if training.freeze_image == "encoder" else ", backbone frozen"
    return start


def _run(model: Path, metrics: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """How long the training took, and on what."""
    items = []
    seconds = sum(float(line.get("seconds", 0)) for line in metrics)
    if seconds:
        items.append(("training time", text(duration(seconds))))
    if (model / "training.json").exists():
        about = read_json(model / "training.json")
        device = about.get("device", "cpu")
        where = (
            f"{about.get('processes', 1)} x {device}" if device != "cpu" else f"CPU, {about.get('threads', 1)} threads"
        )
        items.append(("ran on", text(f"{where}, {about.get('precision', '')}")))
    return items


def _corpus(data: Path, languages: Sequence[str]) -> str:
    """Sizes of the speech and image sets, one row a split."""
    rows = []
    splits = [path.parent.name for path in (data / "images").glob("*/images.scp")]
    for split in sorted(splits, key=_split_order):
        row = [text(split), count(len(ImageSet.load(data / "images" / split).pictures))]
        for lang in languages:
            folder = data / "speech" / f"{split}_{lang}"
            row += _speech_sizes(SpeechSet.load(folder)) if folder.is_dir() else [NOTHING] * 3
        rows.append(row)
    if not rows:
        return missing(f"No data directories under {data}: their sizes cannot be shown.")
    head = ["split", "images"]
    for lang in languages:
        head += [f"{text(language_name(lang))} captions", "speech", "speakers"]
    return table(head, rows)


def _speech_sizes(speech: SpeechSet) -> list[str]:
    """Captions, hours and speakers of a set."""
    return [count(len(speech)), duration(sum(speech.utt2dur.values())), count(len(set(speech.utt2spk.values())))]


def _split_order(split: str) -> tuple[int, str]:
    known = ("train", "dev", "test")
    return (known.index(split) if split in known else len(known), split)


def _curves(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Loss, and retrieval on the development set, over epochs."""
    if not metrics:
        return missing("No learning curves: metrics.jsonl is missing.")
    loss = [(float(line["epoch"]), float(line["loss"])) for line in metrics if "loss" in line]
    scored = [(float(line["epoch"]), line["dev"]) for line in metrics if line.get("dev")]
    charts = [chart("Training loss", [Curve("loss", loss, "k0")], "epoch")]
    if scored:
        lines = [
            Curve(f"R@{k}", [(epoch, float(dev[f"r{k}"])) for epoch, dev in scored], style)
            for k, style in ((10, "k0"), (1, "k1"))
        ]
        charts.append(chart("Retrieval on the development set", lines, "epoch", shares=True))
    return f'<div class="charts">{"".join(charts)}</div>'
