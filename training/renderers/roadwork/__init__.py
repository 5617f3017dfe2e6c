"""Streets of several regions, with and without roadworks."""
