"""Rules: typed documents, compiled once, that turn readings into alerts without anybody there."""
