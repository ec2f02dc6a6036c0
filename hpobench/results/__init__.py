"""What a run's folder holds, and what is computed from it."""
