"""Tables of the page and of the terminal, one file a table."""
