"""The exception of this package."""


class DataError(Exception):
    """An image, folder or data set that cannot be used. One sentence names the value and the remedy."""
