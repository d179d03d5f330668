"""ELAN annotation documents (.eaf).

Annotations of most tiers have two time slots. Those of reference tiers (symbolic association and subdivision) point to
an annotation of another tier instead and share its times. Where several point to the same one, or where a slot has no value
(a time subdivision whose boundary nobody has set), ELAN only draws them evenly spread: no time is known, and none is
made up here. (pympi leaves such slots to its caller, and document types with their entities to the XML parser.)
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple, NoReturn
from urllib.parse import unquote
from xml.etree import ElementTree

from vgspeech.corpora.tiers import Annotation, Tier, Tiers
from vgspeech.errors import DataError

_HINT = "open it in ELAN and save it again"


class _Element(NamedTuple):
    """An annotation as the file has it: with slots, or with the id of its parent."""

    tier: str
    text: str
    begin: str
    end: str
    parent: str


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses document types, which ELAN does not write: entities could name other files, or grow without end."""

    def doctype(self, name: str, pubid: str, system: str) -> NoReturn:
        raise ValueError("has a document type (<!DOCTYPE>), which files of ELAN do not have")


def read_elan(path: Path) -> Tiers:
    """Read an annotation document.

    Raises:
        DataError: no such file, not XML (with the line), or not of ELAN.
    """
    root = _parse(path)
    slots = {_get(slot, "TIME_SLOT_ID", path): _milliseconds(slot, path) for slot in root.iter("TIME_SLOT")}
    elements: dict[str, _Element] = {}
    tiers: dict[str, list[str]] = {}
    for tier in root.iter("TIER"):
        name = _get(tier, "TIER_ID", path)
        ids = tiers.setdefault(name, [])
        for element in tier.iterfind("ANNOTATION/*"):
            ids.append(_get(element, "ANNOTATION_ID", path))
            elements[ids[-1]] = _element(element, name, path)
    siblings = Counter((element.tier, element.parent) for element in elements.values() if element.parent)
    made = [Tier(name, [_timed(elements[one], elements, siblings, slots) for one in ids]) for name, ids in tiers.items()]
    return Tiers(path, made, _offsets(root))


def _parse(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.parse(path, ElementTree.XMLParser(target=_NoDoctype())).getroot()
    except OSError as error:
        raise DataError(f"cannot be opened: {error.strerror}", where=str(path)) from error
    except ElementTree.ParseError as error:
        what = f"not XML: {str(error).partition(':')[0]}"
        raise DataError(what, where=f"{path}:{error.position[0]}", hint=_HINT) from error
    except (ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise DataError(str(error), where=str(path), hint=_HINT) from error
    if root.tag != "ANNOTATION_DOCUMENT":
        raise DataError("not an annotation document of ELAN", where=str(path), hint=_HINT)
    return root


def _get(element: ElementTree.Element, name: str, path: Path) -> str:
    value = element.get(name)
    if not value:
        raise DataError(f"not of ELAN: a {element.tag} without {name}", where=str(path), hint=_HINT)
    return value


def _milliseconds(slot: ElementTree.Element, path: Path) -> int | None:
    value = slot.get("TIME_VALUE")
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > 12:
        raise DataError(f"not of ELAN: the time value {value[:40]!r}", where=str(path), hint=_HINT)
    return int(value)


def _element(element: ElementTree.Element, tier: str, path: Path) -> _Element:
    text = element.findtext("ANNOTATION_VALUE") or ""
    if element.tag == "REF_ANNOTATION":
        return _Element(tier, text, "", "", _get(element, "ANNOTATION_REF", path))
    begin, end = (_get(element, name, path) for name in ("TIME_SLOT_REF1", "TIME_SLOT_REF2"))
    return _Element(tier, text, begin, end, "")


def _timed(
    element: _Element, elements: dict[str, _Element], siblings: Counter[tuple[str, str]], slots: dict[str, int | None]
) -> Annotation:
    """An annotation with its times, or with what is wrong with them."""
    holder = element
    for _ in range(len(elements)):
        if not holder.parent:
            break
        if siblings[holder.tier, holder.parent] > 1:
            above = elements[holder.parent].tier if holder.parent in elements else "another tier"
            what = f"has no times of its own: {holder.tier!r} divides annotations of {above!r} without saying where"
            return Annotation(0, 0, element.text, f"{what}; cut by {above!r}, or by a tier of the type Included In")
        if holder.parent not in elements:
            return Annotation(0, 0, element.text, f"refers to the annotation {holder.parent}, which is not there")
        holder = elements[holder.parent]
    if holder.parent:
        return Annotation(0, 0, element.text, "refers to itself")
    begin, end = slots.get(holder.begin), slots.get(holder.end)
    if begin is None or end is None:
        start_end = " and ".join(word for word, value in (("start", begin), ("end", end)) if value is None)
        return Annotation((begin or 0) / 1000, (end or 0) / 1000, element.text, f"its {start_end} is not set in ELAN")
    return Annotation(begin / 1000, end / 1000, element.text)


def _offsets(root: ElementTree.Element) -> dict[str, float]:
    """Of media that were synchronised in ELAN: at what second of the file the document's time begins."""
    offsets = {}
    for media in root.iter("MEDIA_DESCRIPTOR"):
        origin = media.get("TIME_ORIGIN", "")
        url = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL") or ""
        if url and origin.lstrip("-").isdecimal() and len(origin) < 13:
            offsets[unquote(url).replace("\\", "/").rpartition("/")[2]] = int(origin) / 1000
    return offsets
