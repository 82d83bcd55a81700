"""Evidence: what is true about data. Knows an opaque `party`, never an account; never imports the marketplace."""
