"""The tables of the papers, measured with the very machines: `python -m zmqchat.sim.experiments NAME`.

How they work. `overlaynet` runs the overlay machine of each node over a table of links, `treenet` the broadcast
machine over the links that this gave. Both know no disk, no doors and no other machine, so that ten thousand nodes fit.
`meshes` has whole nodes. Each experiment answers with a table; it is the same for the same size and seed.
"""
