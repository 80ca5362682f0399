"""make train: heads on cached features, cross-validated and calibrated."""
