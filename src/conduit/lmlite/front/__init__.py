"""One address over all replicas of an LMLite, for any OpenAI client: ``lm.serve()`` and ``conduit serve``."""
