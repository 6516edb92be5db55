"""Before the first step: the style classifier, labels, pretraining."""
