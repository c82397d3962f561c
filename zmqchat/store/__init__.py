"""Layer 5: what a node keeps; the only home of LMDB."""
