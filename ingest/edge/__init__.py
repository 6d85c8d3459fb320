"""What runs next to the machines: one tenant's process that reads them and sends their readings up (ADR 57)."""
