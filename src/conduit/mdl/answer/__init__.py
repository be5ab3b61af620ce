"""From a model's text to a validated value: the ladder of readings, its repairs and their prices."""
