"""Scores with floors and intervals, thresholds, calibration, reports and plots."""
