"""The one exception by which `eval` tells a user what to mend."""


class EvalError(Exception):
    """A measurement that cannot be made: one sentence with the value and the remedy."""
