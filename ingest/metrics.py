"""What an ingest process counts for its operators; scraped from /metrics on the internal port."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("tidegate_ingest_messages", "Messages taken from devices, by verdict.", ["verdict"])
COMMITS = Counter("tidegate_ingest_commits", "Transactions committed.")
TROUBLE = Counter("tidegate_ingest_trouble", "Transactions that failed and were tried again, by kind.", ["kind"])
LOGINS = Counter("tidegate_ingest_logins", "Logins of devices, by result.", ["result"])
HANDSHAKES = Counter("tidegate_ingest_tls_failures", "TLS handshakes of devices that failed, by reason.", ["reason"])
WAITING = Gauge("tidegate_ingest_waiting", "Readings that wait for their COMMIT.")
SESSIONS = Gauge("tidegate_ingest_sessions", "Devices that are connected.")
BATCH_ROWS = Histogram(
    "tidegate_ingest_batch_rows", "Rows of a transaction.", buckets=(1, 3, 10, 30, 100, 300, 1_000, 3_000)
)
TRANSACTION_SECONDS = Histogram(
    "tidegate_ingest_transaction_seconds",
    "From BEGIN to COMMIT.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
