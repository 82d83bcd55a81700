"""One verb-first function per thing a person can do: `by` says who, `now` says when, one transaction each."""
