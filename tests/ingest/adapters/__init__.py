"""Each protocol, tried by a client that speaks it."""
