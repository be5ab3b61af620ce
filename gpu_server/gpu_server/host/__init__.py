"""The rented machine that this process runs on, and how it is given back from inside."""
