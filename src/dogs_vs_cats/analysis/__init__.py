"""make compare and what the report draws on: label issues, Grad-CAM, paired comparisons."""
