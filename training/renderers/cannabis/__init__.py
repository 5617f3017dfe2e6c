"""Plants, flowers, trim, hash and extract, and everything between look-alikes."""
