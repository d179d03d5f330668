"""ABX errors by fastabx (bootphon), for comparison. Runs in fastabx's own environment, which needs Python 3.12:

    python tests/helpers/fastabx_scores.py ITEM_FILE FEATURES.npz FREQUENCY METRIC

FEATURES.npz holds one (T, D) array a file of the item file; frames are centred at (f + 1/2) / FREQUENCY seconds. Prints
JSON: {"within": {"error", "processor_s"}, "across": {...}}.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from fastabx import zerospeech_abx

NAMES = {"angular": "angular", "euclidean": "euclidean", "kl": "kl_symmetric"}


def main() -> None:
    item_file, features, frequency, metric = sys.argv[1:]
    torch.set_num_threads(1)
    folder = Path(features).parent / "pt"
    folder.mkdir(exist_ok=True)
    with np.load(features, allow_pickle=False) as arrays:
        for name in arrays.files:
            torch.save(torch.from_numpy(arrays[name]), folder / f"{name}.pt")
    result = {}
    for mode in ("within", "across"):
        options = {"max_x_across": None} if mode == "across" else {}
        started = time.process_time()
        error = zerospeech_abx(
            item_file,
            folder,
            max_size_group=None,
            speaker=mode,
            distance=NAMES[metric],
            frequency=int(frequency),
            device="cpu",
            progress=False,
            **options,
        )
        result[mode] = {"error": error, "processor_s": time.process_time() - started}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
