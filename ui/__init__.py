"""The console: the web pages people sign in to; our first integrator, it knows the platform only by its GraphQL contract."""
