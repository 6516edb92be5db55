"""Experiments: trainings and measurements behind the documents, one script each."""
