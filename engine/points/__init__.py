"""Point tables: which values of which machines an edge reads and writes, kept here and run there."""
