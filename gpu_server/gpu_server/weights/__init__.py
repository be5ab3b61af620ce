"""Models from a hub of Hugging Face's form, downloaded into a cache that replicas share.

`huggingface_hub` is not used for this: it starts a file that was cut off from zero, checks no sha256, and waits for
ever on the lock of a holder that died. The layout of the cache is its own, so that both can read it.
"""
