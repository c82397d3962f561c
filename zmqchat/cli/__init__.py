"""Layer 7: the command line. A command imports what it needs when it runs, so that help is quick."""
