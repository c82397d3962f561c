"""Layer 6: the real runner, and what programs and faces use: Node, Room, Message."""
