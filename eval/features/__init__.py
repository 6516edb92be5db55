"""Feature extractors, and the features of many images."""
