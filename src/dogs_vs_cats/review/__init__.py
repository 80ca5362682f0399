"""make review: label issues decided in a page on this machine."""
