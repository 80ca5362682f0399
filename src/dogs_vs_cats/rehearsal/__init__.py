"""make demo and make rehearse: a small Kaggle on this machine."""
