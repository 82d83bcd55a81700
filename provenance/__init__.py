"""Evidence: what is true about data. Knows an opaque `party`, never an account; never imports the marketplace."""

import os

# Before numpy is imported: OpenBLAS's threads spin while they wait, and a few workers on a few cores then spend ten
# times longer on small matrices than one thread needs. Work is spread over processes instead.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
