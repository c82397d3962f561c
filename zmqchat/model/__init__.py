"""Layer 1: ids, events, limits, configuration and errors; standard library only."""
