"""Layer 6: the simulated runner; the very machines of a node, fed from a heap of timed facts and one seed."""
