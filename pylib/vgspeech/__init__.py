"""vgspeech: learn spoken words from pictures.

People describe images aloud, untranscribed and in any number of languages; the models here learn to match speech with
images, and the analyses find the words, what they show, and which word of one language means which of another.

The library holds all numerics and knows nothing of the shell recipes. Its layers stand in ``layers.txt`` beside this file.
"""

__version__ = "0.1.0"
