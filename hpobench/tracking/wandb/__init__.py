"""Weights & Biases: a run for each cell, and a report of the study."""
