"""The console: the pages people sign in to. Our first integrator: it knows the platform only by its contract."""
