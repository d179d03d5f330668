"""The report: everything that a model learnt, on one page that opens without a network."""
