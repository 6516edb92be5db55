"""The exception of this package."""


class DataError(Exception):
    """A picture, folder or data set that cannot be used. One sentence names the value and the remedy."""
