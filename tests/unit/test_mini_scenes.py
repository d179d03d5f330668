"""The mini corpus: vocabulary, scenes and captions."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vgspeech.config import load_config
from vgspeech.corpora.mini.captions import describe, words_of
from vgspeech.corpora.mini.config import LANGUAGES, SPLITS, MiniCorpusConfig, check_config, random_stream
from vgspeech.corpora.mini.glyphs import glyph_mask
from vgspeech.corpora.mini.scenes import SceneItem, draw_scene, encode_jpeg, image_path, plan_scene, run_lengths
from vgspeech.corpora.mini.vocabulary import COLOURS, FRAMES, NOUNS, concept_forms
from vgspeech.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONFIG = MiniCorpusConfig()


def caption(index: int, language: str, config: MiniCorpusConfig = CONFIG) -> tuple[list[SceneItem], str]:
    items = plan_scene(config, "train", index)
    return items, describe(config, random_stream(config, "train", index, f"test {language}"), items, language)


def test_the_recipe_s_settings_are_the_built_in_ones() -> None:
    assert load_config(MiniCorpusConfig, ROOT / "egs/hindi_english/conf/mini_corpus.yaml") == CONFIG
    assert load_config(MiniCorpusConfig, ROOT / "egs/places/conf/mini_corpus.yaml") == CONFIG
    check_config(CONFIG)


@pytest.mark.parametrize(
    "key, value",
    [
        ("colour_probability", 1.1),
        ("objects", (2, 5)),
        ("train_scenes", 0),
        ("noise", (0, 20)),
        ("test_speakers", ("adam_50",)),
        ("test_speakers", ("Annie_50",)),
        ("train_speakers", ("adam",)),
        ("image_size", 64),
    ],
)
def test_impossible_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"'{key}'"):
        check_config(dataclasses.replace(CONFIG, **{key: value}))


def test_vocabulary_has_36_concepts_and_no_word_of_two_meanings() -> None:
    assert (len(NOUNS), len(COLOURS)) == (28, 8)
    lexicon = concept_forms(LANGUAGES)
    for language, expected in (("en", 42), ("hi", 46)):
        forms = [form for concept in lexicon.values() for form in concept[language]]
        assert len(forms) == len(set(forms)) == expected
        assert all(unicodedata.is_normalized("NFC", form) and form == form.strip() for form in forms)
    assert [len(FRAMES[language]) for language in LANGUAGES] == [8, 7]
    frame_words = {word for language in LANGUAGES for frame in FRAMES[language] for word in " ".join(frame).split()}
    assert not frame_words & {form for concept in lexicon.values() for forms in concept.values() for form in forms}


def test_every_glyph_can_be_drawn_and_seen() -> None:
    masks = {}
    for noun in NOUNS:
        assert len(set(noun.glyphs)) == 3
        for glyph in (*noun.glyphs, *([noun.unseen_glyph] if noun.unseen_glyph else [])):
            mask = np.asarray(glyph_mask(glyph, 48)) > 127
            assert min(mask.shape) >= 15 and max(mask.shape) <= 64, glyph
            assert 0.1 < mask.mean() < 0.99, glyph
            masks[glyph] = mask.tobytes()
    assert len(set(masks.values())) == len(masks) == 28 * 3 + 19


def test_unseen_split_shows_only_glyphs_that_no_other_split_shows() -> None:
    shown = {split: {i.glyph for n in range(150) for i in plan_scene(CONFIG, split, n)} for split in SPLITS}
    assert shown["test_unseen"] == {noun.unseen_glyph for noun in NOUNS if noun.unseen_glyph}
    assert not shown["test_unseen"] & (shown["train"] | shown["dev"] | shown["test"])


def test_scenes_have_different_nouns_and_visible_objects_inside_the_picture() -> None:
    for index in range(60):
        items = plan_scene(CONFIG, "train", index)
        assert len({item.noun.concept for item in items}) == len(items) in (2, 3)
        picture, objects = draw_scene(CONFIG, "train", index, items)
        assert picture.size == (128, 128)
        assert [drawn.concept for drawn in objects] == [item.noun.concept for item in items]
        assert np.sum([drawn.mask for drawn in objects], axis=0).max() == 1, "a pixel shows one object"
        for drawn, item in zip(objects, items, strict=True):
            x0, y0, x1, y1 = drawn.box
            assert 0 <= x0 < x1 <= 128 and 0 <= y0 < y1 <= 128
            assert drawn.mask.sum() == drawn.mask[y0:y1, x0:x1].sum() > 100
            assert drawn.mask[y0].any() and drawn.mask[y1 - 1].any()
            assert drawn.mask[:, x0].any() and drawn.mask[:, x1 - 1].any()
            pixels = np.asarray(picture)[drawn.mask].astype(int)
            assert np.abs(np.median(pixels, axis=0) - item.rgb).max() <= 2


def test_jpeg_keeps_the_colours() -> None:
    items = plan_scene(CONFIG, "train", 3)
    picture, _ = draw_scene(CONFIG, "train", 3, items)
    decoded = Image.open(io.BytesIO(encode_jpeg(picture, CONFIG.jpeg_quality))).convert("RGB")
    error = np.asarray(decoded).astype(float) - np.asarray(picture).astype(float)
    assert np.sqrt(np.mean(error**2)) < 4, "well below the pixel noise of 8"


def test_run_lengths_are_coco_s() -> None:
    mask = np.zeros((3, 4), dtype=bool)
    mask[0, 0] = mask[2, 1] = mask[0, 2] = True
    assert run_lengths(mask) == [0, 1, 4, 2, 5]
    mask = np.random.default_rng(0).random((7, 5)) < 0.5
    values, flat = False, []
    for length in run_lengths(mask):
        flat += [values] * length
        values = not values
    assert np.array_equal(np.array(flat).reshape((7, 5), order="F"), mask)
    assert run_lengths(np.zeros((2, 2), dtype=bool)) == [4]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_object_is_named_once_and_nothing_else_is(language: str) -> None:
    concepts = {form: concept for concept, forms in concept_forms(LANGUAGES).items() for form in forms[language]}
    nouns = {noun.concept for noun in NOUNS}
    for index in range(200):
        items, text = caption(index, language)
        said = [concepts[word] for _, word in words_of(text) if word in concepts]
        assert sorted(c for c in said if c in nouns) == sorted(item.noun.concept for item in items)
        assert Counter(c for c in said if c not in nouns) <= Counter(item.colour.concept for item in items)


def test_hindi_adjectives_agree_and_english_articles_fit() -> None:
    genders = {form.text: form.gender for noun in NOUNS for form in noun.forms["hi"]}
    feminine = {c.feminine for c in COLOURS if c.feminine != c.masculine}
    masculine = {c.masculine for c in COLOURS if c.feminine != c.masculine}
    assert len(feminine) == len(masculine) == 4
    seen = set()
    for index in range(400):
        words = [word for _, word in words_of(caption(index, "hi")[1])]
        for adjective, noun in itertools.pairwise(words):
            if adjective in feminine | masculine:
                assert genders[noun] == ("f" if adjective in feminine else "m"), (adjective, noun)
                seen.add(adjective)
        english = [word for _, word in words_of(caption(index, "en")[1])]
        for article, word in itertools.pairwise(english):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou")
                assert word != "scissors"
    assert seen == feminine | masculine


@pytest.mark.parametrize("probability", [0.5, 0.9])
def test_colours_are_named_as_often_as_set_and_independently_per_language(probability: float) -> None:
    config = dataclasses.replace(CONFIG, colour_probability=probability)
    colours = {form for colour in COLOURS for language in LANGUAGES for form in colour.forms(language)}
    named = {language: [] for language in LANGUAGES}  # type: dict[str, list[bool]]
    for index in range(600):
        for language in LANGUAGES:
            items, text = caption(index, language, config)
            words = [word for _, word in words_of(text)]
            for item in items:
                form = next(w for w in words if w in {f.text for f in item.noun.forms[language]})
                named[language].append(words[words.index(form) - 1] in colours)
    english, hindi = np.array(named["en"]), np.array(named["hi"])
    assert english.mean() == pytest.approx(probability, abs=0.05)
    assert hindi.mean() == pytest.approx(probability, abs=0.05)
    assert (english & hindi).mean() == pytest.approx(probability**2, abs=0.05)


def test_synonyms_are_used_as_often_as_set() -> None:
    for language in LANGUAGES:
        words = Counter(w for i in range(1000) for _, w in words_of(caption(i, language)[1]))
        pairs = [noun.forms[language] for noun in NOUNS if len(noun.forms[language]) == 2]
        assert len(pairs) == 6
        second = sum(words[pair[1].text] for pair in pairs)
        total = second + sum(words[pair[0].text] for pair in pairs)
        assert second / total == pytest.approx(0.28, abs=0.06)


def test_scenes_and_texts_are_those_of_this_version() -> None:
    """When this fails, the same settings give another corpus: raise GENERATOR_VERSION with the new digest."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for index in range(20):
            items = plan_scene(CONFIG, split, index)
            looks = [(i.glyph, i.rgb, i.centre, i.size, round(i.angle, 6), i.flipped) for i in items]
            digest.update(repr(looks).encode())
            digest.update(image_path(CONFIG, split, index, items).encode())
            for language in LANGUAGES:
                rng = random_stream(CONFIG, split, index, f"caption {language}")
                digest.update(describe(CONFIG, rng, items, language).encode())
    assert digest.hexdigest()[:16] == "d478984bd5432262"
