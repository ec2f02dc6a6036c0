"""What a reader sees: the answer in words, tables, figures, the page."""
