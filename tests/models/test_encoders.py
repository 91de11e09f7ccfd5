"""Vectors of length 1 in which like texts are near."""

from __future__ import annotations

import numpy as np
import pytest

from trimtab.models.encoders import StaticEncoder
from trimtab.records.protocols import Encoder


@pytest.fixture(scope="module")
def encoder() -> StaticEncoder:
    return StaticEncoder()


def test_it_is_an_encoder(encoder: StaticEncoder) -> None:
    assert isinstance(encoder, Encoder)


def test_vectors_have_length_one(encoder: StaticEncoder) -> None:
    vectors = encoder.encode(["a table for two", "x", "zwei Plätze, bitte", "🙂"])
    assert vectors.shape == (4, 256)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)


def test_texts_without_a_word_give_the_zero_vector(encoder: StaticEncoder) -> None:
    vectors = encoder.encode(["", "a table", " \n"])
    assert not vectors[[0, 2]].any()
    assert vectors[1].any()
    assert not encoder.encode(["", " "]).any()


def test_no_texts_give_no_vectors(encoder: StaticEncoder) -> None:
    assert encoder.encode([]).shape == (0, 256)


def test_a_text_has_the_same_vector_in_any_company(encoder: StaticEncoder) -> None:
    texts = ["a table for two", "b" * 3, "a much longer text about nothing in particular " * 9, ""]
    together = encoder.encode(texts)
    for text, vector in zip(texts, together, strict=True):
        assert encoder.encode([text])[0] == pytest.approx(vector, abs=1e-5)


def test_many_texts_are_encoded_in_their_order(encoder: StaticEncoder) -> None:
    texts = [f"request number {n} about topic {n % 7}" + " word" * (n % 13) for n in range(150)]
    together = encoder.encode(texts)
    assert together[137] == pytest.approx(encoder.encode([texts[137]])[0], abs=1e-5)


def test_like_texts_are_nearer_than_others(encoder: StaticEncoder) -> None:
    a, b, c = encoder.encode(
        ["book a table for dinner", "reserve a restaurant table", "the integral of a polynomial"]
    )
    assert a @ b > a @ c + 0.2
