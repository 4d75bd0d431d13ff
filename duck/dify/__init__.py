"""All that knows Dify: the ways to it, what it streams, what its failures mean, and what of all this guests see."""
