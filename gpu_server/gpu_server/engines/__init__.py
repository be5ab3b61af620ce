"""The model runtimes. `base` is the protocol that the server speaks; each sibling module is one engine."""
