"""Weights & Biases runs of a finished study."""
