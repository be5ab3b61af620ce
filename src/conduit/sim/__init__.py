"""Stand-ins for providers that anyone can run on their own machine."""
