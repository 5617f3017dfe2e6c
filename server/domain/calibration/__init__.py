"""Calibrators: each maps one head's logits of one engine to calibrated probabilities, and says which engine.

`calibrator` binds a map to its engine; `category_maps`, `top_label` and `binary_maps` hold the maps;
the modules named `*_fit` fit them; `selection` chooses among them by cross-validated log-loss.
"""
