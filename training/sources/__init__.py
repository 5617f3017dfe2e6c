"""Where photos come from: each source tells of its photos, and an import turns any of them into the same dataset."""
