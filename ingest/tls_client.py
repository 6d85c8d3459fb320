"""TLS as a client: towards a platform from its edge, and towards a broker."""

import ssl
from pathlib import Path


def client_context(ca_file: Path | str | None) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 that believes the authorities of the file, or this machine's own when there is none.

    Python 3.13 has made it its default to refuse certificates that miss what RFC 5280 wants of public authorities, an
    identifier of their authority's key above all. What people make for themselves by the guides of their broker often
    has none, so an authority that was named is believed as Python 3.11 and 3.12 believe it. Raises OSError.
    """
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
