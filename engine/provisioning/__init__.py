"""How new devices come in: by key, by claim certificate, by an authority of the tenant's own, or after approval."""
