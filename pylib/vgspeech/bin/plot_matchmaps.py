"""Pictures of what words light up: the matchmap of a few captions, minus the response to unrelated images.

Writes into the folder, for every caption chosen: ``<lang>/<utt>.png`` (the picture), ``<lang>/<utt>.sound.png`` (its
spectrogram), ``scenes/<image>.jpg`` (what the model sees; of a clip its middle video frame), and for all of them
``maps.scp`` (subtracted matchmaps, frames x cells) and ``captions.json`` (words, times, scores), from which the report is
made. Pictures of captions that are no longer among them are removed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vgspeech.archive import ArchiveWriter
from vgspeech.config import ExperimentConfig, load_config
from vgspeech.errors import run_main
from vgspeech.features import LogMels
from vgspeech.files import atomic_write, write_json
from vgspeech.images import read_pixels
from vgspeech.localize.captions import PicturedCaption, caption_entry, choose_captions, pictured_caption
from vgspeech.localize.inputs import EmbedDir, image_set, speech_set, visible_parts
from vgspeech.localize.matchmaps import UNRELATED_IMAGES
from vgspeech.plots import encode_image, picture_of_caption, spectrogram, view_of

VERSION = 2
SCENE_SIDE = 320


def write_bytes(path: Path, data: bytes) -> None:
    with atomic_write(path, "wb") as stream:
        stream.write(data)


def write_caption(caption: PicturedCaption, image_file: str, features: LogMels, out: Path) -> dict[str, object]:
    """Write the pictures of one caption; returns its entry for ``captions.json``."""
    scene = view_of(read_pixels(image_file), caption.view, SCENE_SIDE)
    sound = spectrogram(features[caption.utt])
    files = {
        "scene": f"scenes/{caption.image}.jpg",
        "sound": f"{caption.lang}/{caption.utt}.sound.png",
        "picture": f"{caption.lang}/{caption.utt}.png",
    }
    write_bytes(out / files["scene"], encode_image(scene, "jpeg"))
    write_bytes(out / files["sound"], encode_image(sound, "png"))
    write_bytes(out / files["picture"], picture_of_caption(caption, scene, sound))
    return {**caption_entry(caption), **files}


def remove_others(entries: list[dict[str, object]], out: Path) -> None:
    """Delete pictures of captions that an earlier run chose: their speakers may have withdrawn since."""
    keep = {out / str(entry[key]) for entry in entries for key in ("scene", "sound", "picture")}
    for path in (*out.glob("*/*.png"), *out.glob("scenes/*.jpg")):
        if path not in keep:
            path.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=6, help="captions of each language (default %(default)s)")
    parser.add_argument("model", type=Path, help="model directory (config.yaml)")
    parser.add_argument("embed", type=Path, help="embed/ folder of the split")
    parser.add_argument("data", type=Path, help="corpus directory, data/<corpus>")
    parser.add_argument("split")
    parser.add_argument("out", type=Path, help="folder of the pictures, matchmaps/")
    args = parser.parse_args()

    config = load_config(ExperimentConfig, args.model / "config.yaml")
    embed = EmbedDir.load(args.embed)
    images = image_set(args.data, args.split)
    views = visible_parts(images, config)
    speech = {lang: speech_set(args.data, args.split, lang) for lang in embed.languages}
    entries: list[dict[str, object]] = []
    wanted = args.captions if len(embed.grids) > 1 else 0  # an image is shown against others
    with ArchiveWriter(args.out / "maps.ark", args.out / "maps.scp") as maps:
        for lang, utterances in choose_captions(embed, speech, wanted).items():
            features = LogMels(speech[lang].path / "feats" / f"{config.front_end}.scp")
            for utt in utterances:
                image = speech[lang].utt2image[utt]
                caption = pictured_caption(embed, speech[lang], lang, utt, views[image])
                entries.append(write_caption(caption, images.paths[images.shown(image)], features, args.out))
                maps.write(utt, caption.matchmap.reshape(len(caption.matchmap), -1))
    write_json(
        args.out / "captions.json", {"split": args.split, "unrelated_images": UNRELATED_IMAGES, "captions": entries}
    )
    remove_others(entries, args.out)
    alone = "" if wanted else "; the split has a single image, and none to compare it with"
    print(
        f"matchmaps, {args.split}: {len(entries)} captions pictured, {args.captions} a language wanted{alone} ({args.out})"
    )


if __name__ == "__main__":
    run_main(main)
