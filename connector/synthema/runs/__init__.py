"""The governor and what a run consists of. No other room opens patient data."""
