"""What a user can get wrong about a searcher."""


class SearcherError(ValueError):
    """A searcher that cannot work as set, or on this space; the message says what to do."""
