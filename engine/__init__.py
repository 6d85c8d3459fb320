"""What the platform knows and decides."""
