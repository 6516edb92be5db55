"""The one exception by which `data` tells a user what to mend."""


class DataError(Exception):
    """A picture, folder or data set that cannot be used: one sentence with the value and the remedy."""
