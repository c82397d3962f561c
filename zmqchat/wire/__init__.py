"""Layer 2: frames, events and batches to bytes and back; the only home of MessagePack."""
