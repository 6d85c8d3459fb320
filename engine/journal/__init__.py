"""The journal: one gapless, commit-ordered list of events per tenant."""
