"""The nouns that travel between rooms: frozen, and without behaviour of their own."""
