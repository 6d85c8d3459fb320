"""The fleet as a whole: devices handed to other tenants, devices retired, and the audit of all of them."""
