"""Layer 5: keys, signatures and digests; the only home of PyNaCl."""
