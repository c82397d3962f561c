"""Layer 5: finding other nodes on the local network, and following this machine's interfaces."""
