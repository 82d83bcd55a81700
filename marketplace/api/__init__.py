"""`/api/v1`: one file per noun. Views say who may ask and what the answer looks like; everything else is below."""
