"""What the commands that prepare corpora share: options, a check of what was written, and the lines that they print."""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.corpora.prepare import Prepared, Settings, require_images
from vgspeech.corpora.records import counted
from vgspeech.validation import validate_image_set, validate_speech_set
from vgspeech.videos import MAX_FRAMES


def add_common_options(parser: argparse.ArgumentParser, *, images_required: bool = True, all_languages: bool = True) -> None:
    """Add the options that ``settings_of`` reads, and the folder to write."""
    parser.add_argument("--images", type=Path, metavar="DIR", required=images_required, help="root of the images")
    parser.add_argument("--max-bad", type=float, default=0.01, metavar="X", help="largest fraction of unusable inputs")
    parser.add_argument("--allow-overlap", type=boolean, default=False, metavar="BOOL", help="splits may share images")
    parser.add_argument("--speakers-apart", type=boolean, default=False, metavar="BOOL", help="splits share no speakers")
    parser.add_argument("--require-all-languages", type=boolean, default=all_languages, metavar="BOOL")
    parser.add_argument("--subset", type=int, default=0, metavar="N", help="images a split at most; 0: all")
    parser.add_argument("--frames", type=frame_count, default=3, metavar="N", help="video frames of each clip")
    parser.add_argument("--nj", type=int, default=1, metavar="N", help="worker processes that read headers")
    parser.add_argument("data", type=Path, help="where to write: data/<corpus>")


def settings_of(args: argparse.Namespace, images: Path) -> Settings:
    """The settings that the options say; call it before anything is read.

    Raises:
        DataError: no such folder of images.
    """
    require_images(images)
    return Settings(
        images=images,
        max_bad=args.max_bad,
        allow_overlap=args.allow_overlap,
        speakers_apart=args.speakers_apart,
        require_all_languages=args.require_all_languages,
        frames=args.frames,
        subset=args.subset,
        jobs=args.nj,
    )


def frame_count(text: str) -> int:
    """A number of video frames that may be taken of a clip."""
    if not text.isdecimal() or not 1 <= int(text) <= MAX_FRAMES:
        raise argparse.ArgumentTypeError(f"expected 1 to {MAX_FRAMES}, not '{text}'")
    return int(text)


def boolean(text: str) -> bool:
    """``true`` or ``false``, as shell options are written."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"expected true or false, not '{text}'")
    return text == "true"


def finish(out: Path, done: Prepared) -> None:
    """Check the data directories that were written, and print notes, a line for each set, and a closing sentence.

    Raises:
        DataError: what was written is not valid.
    """
    for made in done.sets:
        split = made.name.rpartition("_")[0]
        validate_speech_set(out / "speech" / made.name, images=out / "images" / split)
    for split in dict.fromkeys(made.name.rpartition("_")[0] for made in done.sets):
        validate_image_set(out / "images" / split)
    for note in done.notes:
        print(f"note: {note}")
    for made in done.sets:
        duplicates = f", {counted(made.duplicates, 'duplicate')} left out" if made.duplicates else ""
        print(
            f"{made.name}: {counted(made.utterances, 'utterance')}, {counted(made.speakers, 'speaker')}, "
            f"{counted(made.images, 'image')}, "
            f"{made.hours:.2f} h; {made.rejected} rejected{duplicates}"
        )
    utterances, rejected = (sum(getattr(made, key) for made in done.sets) for key in ("utterances", "rejected"))
    listed = f", listed with reasons in {out}/speech/*/rejected" if rejected else ""
    print(
        f"prepared {out}: {counted(len(done.sets), 'speech set')} and {counted(done.image_sets, 'image set')}, "
        f"{counted(utterances, 'utterance')}, "
        f"{rejected} rejected{listed}"
    )
