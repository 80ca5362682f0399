"""make bench: how fast every stage is on this machine, beside what others do."""
