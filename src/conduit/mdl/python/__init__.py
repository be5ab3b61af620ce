"""The Python side: types, signatures and docstrings, read into forms or refused with the path and the remedy."""
