"""Layer 5: the sockets; the only home of pyzmq."""
