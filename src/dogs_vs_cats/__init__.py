"""Dogs vs. Cats by transfer learning: photos -> table -> features -> heads -> submission.

Each module is one noun. Data flows one way and nothing happens on import.
"""
