"""The beginning of an answer: what of it is certain, read piece by piece and shown as plain data."""
