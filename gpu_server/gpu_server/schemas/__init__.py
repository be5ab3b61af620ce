"""A caller's JSON schema on its way to a grammar: bounded, and compiled once where it can do no harm."""
