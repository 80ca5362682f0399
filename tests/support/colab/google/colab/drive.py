"""Drive, as a folder of this machine."""

from pathlib import Path


def mount(mountpoint: str) -> None:
    """Make the user's Drive appear below a folder."""
    Path(mountpoint, "MyDrive").mkdir(parents=True, exist_ok=True)
    print(f"Mounted at {mountpoint}")
