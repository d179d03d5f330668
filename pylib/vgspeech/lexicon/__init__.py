"""Bilingual lexicon discovery: peaks between captions of one image, clusters per language, links across languages."""
