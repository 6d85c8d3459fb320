"""Pieces several pages share: the frame around a page, badges, empty states, things to copy."""
