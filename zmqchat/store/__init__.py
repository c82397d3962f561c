"""Layer 5: the node's own LMDB store, and its twin in memory."""
