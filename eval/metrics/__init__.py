"""Metrics: functions of features."""
