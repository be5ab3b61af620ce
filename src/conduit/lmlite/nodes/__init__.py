"""A deployment's nodes: what they need, starting, finding and ending them."""
