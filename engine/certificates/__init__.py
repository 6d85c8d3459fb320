"""X.509 for devices: one certificate authority per tenant, what it signed and what it took back."""
