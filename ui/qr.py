"""Draws a QR code (ISO/IEC 18004) for a short text, by segno, here in the house: a secret in it goes to nobody else."""

import segno

QUIET = 4  # modules of white around the code, which readers need


def svg_path(text: str) -> tuple[str, int]:
    """The dark modules of the text's code as one SVG path, and the length of a side, white border included.

    Bytes and error correction M (any 15% may be unreadable) in the smallest version that holds the text; more than
    2,331 bytes raise segno.DataOverflowError.
    """
    code = segno.make(text, error="m", mode="byte", encoding="utf-8", micro=False, boost_error=False)
    dark = [(x, y) for y, row in enumerate(code.matrix_iter(border=QUIET)) for x, is_dark in enumerate(row) if is_dark]
    return "".join(f"M{x} {y}h1v1h-1z" for x, y in dark), code.symbol_size(border=QUIET)[0]
