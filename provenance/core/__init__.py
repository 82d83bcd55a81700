"""Pure evidence: values, proofs and plans. No framework, no chain library, no files, no clock."""
