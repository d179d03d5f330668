"""Tools that make speech sets of speech sets: repair, subset, split for jobs, combine, copy.

They stream over sorted files and hold ids only. A set's files are found by their names (`layout`), so what users add
(``utt2*``, ``spk2*``, ``feats/``) goes along. Outputs are new folders that appear whole or not at all.
"""
