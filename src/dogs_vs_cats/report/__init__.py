"""make report: one page with what was run, how good it is, and where the network looked."""
