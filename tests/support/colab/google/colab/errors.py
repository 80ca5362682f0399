"""What Colab's own errors are derived from."""


class Error(Exception):
    """An error of Colab's."""
