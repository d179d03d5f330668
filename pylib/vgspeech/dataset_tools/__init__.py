"""Tools that make speech sets of speech sets: repair, subset, split for jobs, combine, copy.

They stream over sorted files and hold ids only. A set's files are found by their names (`layout`), so what users add
(``utt2*``, ``spk2*``, ``feats/``) goes along. Outputs are new folders that appear whole or not at all.
"""

from vgspeech.dataset_tools.combine import combine_sets
from vgspeech.dataset_tools.fix import FixReport, fix_set
from vgspeech.dataset_tools.renaming import copy_set
from vgspeech.dataset_tools.selection import Selection, subset_set
from vgspeech.dataset_tools.split import split_set

__all__ = ["FixReport", "Selection", "combine_sets", "copy_set", "fix_set", "split_set", "subset_set"]
