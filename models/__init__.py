"""Functions with weights: plain torch modules behind one shape contract."""
