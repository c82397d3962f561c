"""Layer 4: state machines, facts in and effects out; standard library only."""
