"""The built-in mini corpus: drawn scenes, described by synthetic voices in English and Hindi.

It is written in the layout in which Places Audio and Places Hindi are released, so that it takes the same way through
the recipes as real data; what is known of it, which is everything, stands in files beside. It shows that the pipeline
works; it says nothing about accuracy on human speech or on photographs.
"""
