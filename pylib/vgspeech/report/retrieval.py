"""The section on retrieval: all directions, with intervals, baselines and chance beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vgspeech.report.curves import share_bar
from vgspeech.report.html import NOTHING, Section, count, fixed, language_name, missing, percent, table, text

TITLE = "Retrieval"
BASELINES = {
    "untrained": ("untrained", "the same network with random weights"),
    "colours_only": ("colours only", "an oracle that is told the colours named and shown, and nothing else"),
    "dtw": ("DTW", "time warping between the log-mel features of two captions"),
}
NOTE = (
    "Every caption ranks all images of its test set, every image all captions. R@k is the share of queries whose "
    "partner is among the first k, in percent; ties count against the model. The bar is R@10 with its 95 % bootstrap "
    "interval; the thin marks on it are chance and the baselines."
)


def retrieval_section(results: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, Mapping[str, Any]]) -> Section:
    """Tables of all directions, one a split.

    Args:
        results: split to ``results.json``.
        baselines: split to ``baselines.json``, where there is one.
    """
    if not results:
        return Section("retrieval", TITLE, missing("No retrieval scores: run stage 6."))
    tables = [f"<h3>{text(split)}</h3>{_table(scores, baselines.get(split, {}))}" for split, scores in results.items()]
    return Section("retrieval", TITLE, f'<p class="note">{NOTE}</p>{"".join(tables)}')


def _table(result: Mapping[str, Any], baselines: Mapping[str, Any]) -> str:
    names = [name for name in BASELINES if name in baselines]
    directions = result["directions"]
    rows = []
    for name, scores in directions.items():
        beside = {key: baselines[key]["directions"].get(name, {}).get("r10") for key in names}
        rows.append(_row(" → ".join(text(language_name(side)) for side in name.split(">")), scores, beside))
    if len(directions) > 1:
        # A mean over some of the directions would not be comparable.
        whole = [key for key in names if baselines[key]["directions"].keys() == directions.keys()]
        beside = {key: baselines[key]["mean"]["r10"] if key in whole else None for key in names}
        rows.append(_row("<b>mean</b>", result["mean"], beside))
    head = ["query → targets", "R@10", "", "95 % of R@10", "R@5", "R@1", "median rank", "MRR"]
    head += [*(BASELINES[name][0] for name in names), "chance"]
    return table(head, rows) + f'<p class="fine">{_explanation(next(iter(directions.values())), names)}</p>'


def _explanation(scores: Mapping[str, Any], names: list[str]) -> str:
    sizes = f"{count(scores['n_queries'])} queries and {count(scores['n_targets'])} targets a direction."
    if not names:
        return sizes
    notes = "; ".join(f"<i>{BASELINES[name][0]}</i>: {BASELINES[name][1]}" for name in names)
    return f"{sizes} R@10 of baselines: {notes}."


def _row(name: str, scores: Mapping[str, Any], beside: Mapping[str, float | None]) -> list[str]:
    interval, chance = scores.get("ci95", {}).get("r10"), scores.get("chance_r10")
    marks = [(BASELINES[key][0], value) for key, value in beside.items() if value is not None]
    marks += [("chance", chance)] if chance is not None else []
    return [
        name,
        f"<b>{percent(scores['r10'])}</b>",
        share_bar(scores["r10"], interval, marks),
        f"{percent(interval[0])} – {percent(interval[1])}" if interval else NOTHING,
        percent(scores["r5"]),
        percent(scores["r1"]),
        f"{scores['median']:g}" if "median" in scores else NOTHING,
        fixed(scores["mrr"]),
        *(percent(value) for value in beside.values()),
        percent(chance),
    ]
