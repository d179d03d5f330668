"""What the models of a work directory reached, one row each, from their result files alone (nothing is computed anew)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import DataError, UsageError
from vgspeech.files import read_json
from vgspeech.report.html import duration
from vgspeech.report.inputs import read_metrics

ALL_SPLITS = "all"
NOTHING = "-"
FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ResultRow:
    """One model on one test set; None where a result does not exist.

    Attributes:
        model: name of its folder.
        tested_on: ``<corpus>/<split>``.
        r1, r5, r10, mrr: 0 to 1, means over the directions.
        median: mean over the directions of the median rank.
        words: words that a code detects with F1 of 50 % or more, over all languages.
        links: significant links of the lexicon, over all pairs of languages.
        clusters: significant word clusters of a lexicon of one language.
        concepts: of a known dictionary's concepts, how many the lexicon has; its second number is how many there are.
        epochs, train_seconds: of the training.
        weights: numbers in best.pt, running statistics included.
        front_end, similarity, loss, seed: of its configuration.
        config: name of the configuration file, and what --set changed in it.
        directions: ``results.json``'s scores of each.
    """

    model: str
    tested_on: str | None = None
    r1: float | None = None
    r5: float | None = None
    r10: float | None = None
    mrr: float | None = None
    median: float | None = None
    words: int | None = None
    links: int | None = None
    clusters: int | None = None
    concepts: tuple[int, int] | None = None
    epochs: int | None = None
    train_seconds: float | None = None
    weights: int | None = None
    front_end: str | None = None
    similarity: str | None = None
    loss: str | None = None
    config: str | None = None
    seed: int | None = None
    directions: dict[str, Any] = field(default_factory=dict)


def find_models(folders: Sequence[Path]) -> list[Path]:
    """Model directories: the folders themselves, or those inside them that hold a model or results of one.

    Raises:
        DataError: a folder is not there, or holds none.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError("no such folder", where=str(folder), hint="give exp/ of a work directory, or exp/<model>")
        inside = [folder] if _is_model(folder) else sorted(path for path in folder.iterdir() if _is_model(path))
        if not inside:
            raise DataError("no model and no results in it", where=str(folder), hint="train one first (run.sh)")
        found += inside
    return found


def _is_model(folder: Path) -> bool:
    return (folder / "config.yaml").is_file() or any(folder.glob("eval/*/*/retrieval/results.json"))


def tested_sets(model: Path) -> list[tuple[str, str]]:
    """(corpus, split) of every retrieval result; of each corpus ``test`` comes first, then the others by length."""
    found = [(path.parts[-4], path.parts[-3]) for path in model.glob("eval/*/*/retrieval/results.json")]
    return sorted(found, key=lambda at: (at[0], not at[1].startswith("test"), len(at[1]), at[1]))


def result_rows(models: Sequence[Path], split: str | None = None) -> list[ResultRow]:
    """A row for each model and corpus that it was tested on, or one without results.

    Args:
        models: model directories.
        split: which results; by default the first test split of each corpus; ``all`` gives each split a row.

    Raises:
        UsageError: no model was tested on such a split.
        DataError, ConfigError: a file is damaged.
    """
    rows = []
    for model in models:
        sets = tested_sets(model)
        if split is None:
            sets = [at for i, at in enumerate(sets) if at[0] not in {corpus for corpus, _ in sets[:i]}]
        elif split != ALL_SPLITS:
            sets = [at for at in sets if at[1] == split]
        if sets:
            rows += [_row(model, *at) for at in sets]
        elif split in (None, ALL_SPLITS):
            rows.append(ResultRow(model.name, **_training(model)))
    if not rows:
        names = sorted({name for model in models for _, name in tested_sets(model)})
        raise UsageError(
            f"no model has retrieval results of a split '{split}' (there are: {', '.join(names) or 'none'})"
        )
    return rows


def _row(model: Path, corpus: str, split: str) -> ResultRow:
    results = read_json(model / "eval" / corpus / split / "retrieval" / "results.json")
    directions = results["directions"]
    medians = [scores["median"] for scores in directions.values()]
    means = {name: results["mean"][name] for name in ("r1", "r5", "r10", "mrr")}
    return ResultRow(
        model.name,
        f"{corpus}/{split}",
        **means,
        median=sum(medians) / len(medians),
        words=_words(model / "eval" / corpus),
        **_lexicon(model / "lexicon" / corpus),
        **_training(model),
        directions=directions,
    )


def _words(evaluated: Path) -> int | None:
    """Detected words in all languages of the first split that was scored, ``train`` if it was."""
    found: dict[str, int] = {}
    for path in sorted(evaluated.glob("*/units/*/scores.json"), key=lambda path: (path.parts[-4] != "train", path)):
        split = path.parts[-4]
        found[split] = found.get(split, 0) + int(read_json(path)["words_with_f1_at_least_0.5"])
    return next(iter(found.values()), None)


def _lexicon(folder: Path) -> dict[str, Any]:
    scores = [read_json(path) for path in sorted(folder.glob("*/scores.json"))]
    known = [one["truth"]["concepts"] for one in scores if "concepts" in one.get("truth", {})]
    linked = [one["links"]["significant"] for one in scores if "links" in one]
    clusters = [one["words"]["significant"] for one in scores if "words" in one]
    return {
        "links": sum(linked) if linked else None,
        "clusters": sum(clusters) if clusters else None,
        "concepts": (sum(one["found"] for one in known), sum(one["of"] for one in known)) if known else None,
    }


def _training(model: Path) -> dict[str, Any]:
    """What the configuration, the metrics and the weights tell; nothing of a folder that holds results only."""
    if not (model / "config.yaml").is_file():
        return {}
    config = load_config(ExperimentConfig, model / "config.yaml")
    metrics = read_metrics(model / "metrics.jsonl")
    normalised = " unit" if config.similarity.normalise else ""
    return {
        "epochs": metrics[-1]["epoch"] if metrics else None,
        "train_seconds": sum(line.get("seconds", 0.0) for line in metrics) if metrics else None,
        "weights": _count_weights(model / "best.pt"),
        "front_end": config.front_end,
        "similarity": config.similarity.type + normalised,
        "loss": config.loss.type,
        "config": _config_name(model),
        "seed": config.seed,
    }


def _count_weights(path: Path) -> int | None:
    """Numbers in a weights file, by the sizes of its parts (a zip archive of float32 blocks), which are not read."""
    if not path.is_file():
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [part.file_size for part in archive.infolist() if "/data/" in part.filename]
    except zipfile.BadZipFile as error:
        raise DataError("is not a file of weights, or damaged", where=str(path)) from error
    return sum(sizes) // FLOAT32_BYTES


def _config_name(model: Path) -> str | None:
    """As the training's stamp tells; None for a model that no recipe trained."""
    stamp = model / ".stages" / "04-train.json"
    if not stamp.is_file():
        return None
    about = read_json(stamp)
    files = [Path(path).stem for path in about.get("inputs", {}) if path.endswith(".yaml")]
    changed = about.get("options", {}).get("set", "")
    return " ".join([*files[:1], changed]).strip() or None


# ---- as text ----

HEADINGS = {
    "model": "model", "tested_on": "tested on", "r1": "R@1", "r5": "R@5", "r10": "R@10", "median": "medR",
    "words": "words", "links": "links", "clusters": "clusters", "concepts": "concepts", "epochs": "epochs",
    "train_seconds": "time", "weights": "weights", "front_end": "front end", "similarity": "similarity", "loss": "loss",
    "seed": "seed", "config": "config",
}  # fmt: skip
_TEXT_COLUMNS = {"model", "tested_on", "front_end", "similarity", "loss", "config"}
NOTES = (
    "R@k: percent, mean over the directions of retrieval; medR: mean of their median ranks; words: detected by a code with "
    "F1 of 50 % or more;\nlinks, clusters: significant ones of a lexicon of two languages, of one; concepts: of the known "
    "dictionary, found; weights: numbers in best.pt."
)


def plain_rows(rows: Iterable[ResultRow]) -> list[dict[str, Any]]:
    """The rows for JSON: every value, and the scores of each direction."""
    return [asdict(row) for row in rows]


def tsv_rows(rows: Iterable[ResultRow]) -> list[list[str]]:
    """The rows as cells with full precision, in the order of ``HEADINGS``; ``-`` where there is nothing."""
    return [[_exact(getattr(row, name)) for name in HEADINGS] for row in rows]


def _exact(value: Any) -> str:
    if value is None:
        return NOTHING
    return "/".join(map(str, value)) if isinstance(value, tuple) else str(value)


def text_rows(rows: Iterable[ResultRow]) -> list[list[str]]:
    """The rows as a person reads them, in the order of ``HEADINGS``."""
    return [[_short(name, getattr(row, name)) for name in HEADINGS] for row in rows]


def _short(name: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if name in ("r1", "r5", "r10"):
        return f"{100 * value:.1f}"
    if name == "train_seconds":
        return duration(value)
    if name == "weights":
        return f"{value / 1e6:.2f} M"
    return f"{value:g}" if name == "median" else _exact(value)


def align(head: Sequence[str], rows: Sequence[Sequence[str]], left: Iterable[int]) -> str:
    """A table in columns, two blanks between them.

    Args:
        head: headings.
        rows: cells, as many as headings.
        left: numbers of the columns that hold words; the others are set to the right.
    """
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    words = set(left)
    return "\n".join(
        "  ".join(
            c.ljust(w) if i in words else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [head, *rows]
    )


def text_table(rows: Sequence[ResultRow]) -> str:
    """The rows as an aligned table; columns in which no model has anything are left out."""
    cells = text_rows(rows)
    used = [i for i in range(len(HEADINGS)) if any(row[i] != NOTHING for row in cells)]
    names = [list(HEADINGS)[i] for i in used]
    head = [HEADINGS[name] for name in names]
    return align(
        head, [[row[i] for i in used] for row in cells], [i for i, name in enumerate(names) if name in _TEXT_COLUMNS]
    )
