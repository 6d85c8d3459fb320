"""Everything a laptop needs: embedded engines, supervisor, simulator, seed."""
