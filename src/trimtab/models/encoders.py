"""Texts to vectors, offline: static embeddings whose weights come in a wheel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trimtab.records.protocols import Vectors


class StaticEncoder:
    """Mean token embeddings (WordLlama, 256 dimensions), scaled to length 1.

    A few thousand texts a second on one core; knows words, not word order.
    """

    def __init__(self) -> None:
        import wordllama

        # WordLlama looks for its bundled tokenizer in a folder that its wheel names otherwise;
        # as a cache, the package's own folder has both files where they are looked for.
        package = Path(wordllama.__file__).parent
        self._embedding: Any = wordllama.WordLlama.load(cache_dir=package, disable_download=True)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Shape (number of texts, 256); a text without a word gives the zero vector.

        >>> bool(StaticEncoder().encode(["a table for two", ""])[1].any())
        False
        """
        if not texts:
            return np.zeros((0, self._embedding.embedding.shape[1]), dtype=np.float32)
        vectors = np.zeros((len(texts), self._embedding.embedding.shape[1]), dtype=np.float32)
        filled = [position for position, text in enumerate(texts) if text.strip()]
        if filled:
            vectors[filled] = self._embedding.embed([texts[i] for i in filled])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = 1
        scaled: Vectors = vectors / lengths
        return scaled
