"""What can be said of forms alone: which are the same, have no value, can be keys, or make one union."""
