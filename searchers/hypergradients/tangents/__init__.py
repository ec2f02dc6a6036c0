"""Many directional derivatives of a gradient at once, exact for any loss."""
