"""One module per page: its state (what it asked the contract for) and its looks."""
