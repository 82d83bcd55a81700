"""One file per group of commands; each adds its parsers and returns what it found as one JSON value."""
