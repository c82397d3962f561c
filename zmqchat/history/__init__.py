"""Layer 3: batches, digests, frontiers, clocks and order; pure."""
