"""Released corpora and the built-in one: from their own layouts to data directories."""
