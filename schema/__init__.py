"""Every promise Tidegate makes to those who use it."""
