"""make bench: how fast every stage is on this machine, compared with other ways to do it."""
