"""What a tenant may use of the platform, and what it has used (ADR 25)."""
