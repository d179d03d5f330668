"""Join the peaks of all jobs and cluster them in each language, or in the only one."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from threadpoolctl import threadpool_limits

from vgspeech.datadir import SpeechSet
from vgspeech.errors import run_main
from vgspeech.files import write_json
from vgspeech.lexicon.clusters import ClusterOptions, cluster_language, default_clusters, steadied
from vgspeech.lexicon.inputs import language_of
from vgspeech.lexicon.one_language import cluster_within
from vgspeech.lexicon.storage import read_jobs, write_peaks

VERSION = 3


def main() -> None:
    defaults = ClusterOptions()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-jobs", type=int, default=1, help="jobs that searched")
    parser.add_argument(
        "--num-clusters", type=int, default=0, help="K of each language; 0: by the number of peaks, 500 at most"
    )
    parser.add_argument(
        "--method", choices=("kmeans", "birch"), default=defaults.method, help="how peaks are clustered"
    )
    parser.add_argument("--radius", type=float, default=defaults.radius, help="birch: largest radius of a subcluster")
    parser.add_argument("--max-spread", type=float, default=defaults.max_spread, help="wider clusters are dropped")
    parser.add_argument("--min-images", type=int, default=defaults.min_images, help="clusters of fewer are dropped")
    parser.add_argument("--min-speakers", type=int, default=defaults.min_speakers, help="clusters of fewer are dropped")
    parser.add_argument("--restarts", type=int, default=defaults.restarts, help="starts of k-means; the best is kept")
    parser.add_argument("--min-size", type=int, default=defaults.min_size, help="smaller clusters are dropped")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("speech", type=Path, nargs="+", help="speech sets of both languages, or of the only one")
    parser.add_argument("jobs", type=Path, help="folder that the jobs wrote to")
    parser.add_argument("out", type=Path, help="folder for peaks.tsv, clusters and centroids")
    args = parser.parse_args()

    if len(args.speech) > 2:
        parser.error(f"one or two speech sets, not {len(args.speech)}")
    speech = [SpeechSet.load(path) for path in args.speech]
    languages = [language_of(data) for data in speech]
    peaks, settings = read_jobs(args.jobs, args.num_jobs, languages)
    options = ClusterOptions(
        method=args.method,
        num_clusters=args.num_clusters,
        restarts=args.restarts,
        radius=args.radius,
        min_size=args.min_size,
        max_spread=args.max_spread,
        min_images=args.min_images,
        min_speakers=args.min_speakers,
    )
    with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
        if len(speech) == 1:
            a, b = cluster_within(peaks, languages[0], speech[0].utt2spk, options, args.seed)
        else:
            a, b = (
                cluster_language(peaks, side, language, data.utt2spk, options, args.seed)
                for side, language, data in zip("ab", languages, speech, strict=True)
            )
    used = {**asdict(options), "num_clusters": options.num_clusters or default_clusters(len(peaks))}
    write_peaks(args.out, steadied(peaks, (a, b)), (a, b), languages)
    write_json(args.out / "search.json", {"pairs": peaks.n_pairs, **settings, "clusters": used})
    sizes = ", ".join(f"{len(side)} clusters in {tag}" for tag, side in zip(languages, (a, b), strict=False))
    count = len(peaks) * len(speech) // 2  # within one language each stands there both ways
    print(f"cluster_peaks: {count} peaks of {peaks.n_pairs} pairs of captions, {sizes}")


if __name__ == "__main__":
    run_main(main)
