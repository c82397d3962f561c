"""Layer 5: sockets (pyzmq). Effects in, facts out; no decision about peers is taken here."""
