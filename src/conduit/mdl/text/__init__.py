"""MDL text, written from a form and read back into it."""
