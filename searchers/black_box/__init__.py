"""Searchers that see a training's validation loss and nothing else of it."""
