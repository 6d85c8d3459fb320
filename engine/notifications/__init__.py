"""What must reach people and systems outside: channels, policies, and deliveries that are tried until they arrive."""
