"""make features: every photo once through the frozen backbone, cached as arrays."""
