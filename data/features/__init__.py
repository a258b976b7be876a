"""Feature families: one pure polars expression a feature, each with a declared finite look-back."""
