"""Every door and what stands behind it, tried."""
