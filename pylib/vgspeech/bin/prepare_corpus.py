"""Write the data directories of a released corpus.

Flickr8k Audio Captions, SpokenCOCO, SPEECH-COCO, Spoken ObjectNet, Spoken Moments.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.corpora.captions import Release
from vgspeech.corpora.coco import read_spoken_coco
from vgspeech.corpora.flickr8k import read_flickr8k
from vgspeech.corpora.moments import read_spoken_moments
from vgspeech.corpora.objectnet import read_objectnet
from vgspeech.corpora.options import add_common_options, finish, settings_of
from vgspeech.corpora.prepare import prepare
from vgspeech.corpora.published import (
    FLICKR8K,
    KARPATHY,
    OBJECTNET,
    SPEECH_COCO,
    SPOKEN_COCO,
    SPOKEN_COCO_KARPATHY,
    SPOKEN_MOMENTS,
    Size,
    compare,
)
from vgspeech.corpora.speechcoco import read_speech_coco
from vgspeech.corpora.truth import Truth
from vgspeech.errors import UsageError, run_main

VERSION = 1


def main() -> None:
    """Parse the command line, prepare, and say what was written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audio", type=Path, metavar="DIR", required=True, help="folder of the release")
    parser.add_argument("--text", type=Path, metavar="DIR", help="flickr8k: folder of its text files")
    parser.add_argument("--karpathy", type=Path, metavar="FILE", help="COCO: dataset_coco.json, whose splits count")
    parser.add_argument("corpus", choices=["flickr8k", "spokencoco", "speechcoco", "objectnet", "spokenmoments"])
    add_common_options(parser)
    args = parser.parse_args()
    settings = settings_of(args, args.images)
    release, truth, sizes = _read(args)
    release.notes.extend(compare([release], sizes))
    finish(args.data, prepare(release, [], args.data, settings, truth))


def _read(args: argparse.Namespace) -> tuple[Release, Truth, list[Size]]:
    """The release, what comes with it, and its published sizes."""
    if args.corpus == "flickr8k":
        if args.text is None:
            raise UsageError("where are the text files of Flickr8k? give --text DIR")
        return *read_flickr8k(args.audio, args.text), FLICKR8K
    if args.corpus == "spokencoco":
        release = read_spoken_coco(args.audio, args.karpathy)
        return release, Truth(), SPOKEN_COCO_KARPATHY if "test" in release.splits else SPOKEN_COCO
    if args.corpus == "speechcoco":
        karpathy = KARPATHY if args.karpathy else []
        return *read_speech_coco(args.audio, args.karpathy, args.nj), [*SPEECH_COCO, *karpathy]
    if args.corpus == "spokenmoments":
        return read_spoken_moments(args.audio), Truth(), SPOKEN_MOMENTS
    return read_objectnet(args.audio), Truth(), OBJECTNET


if __name__ == "__main__":
    run_main(main)
