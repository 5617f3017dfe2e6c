"""What a dataset holds and what it lacks, before anybody trains on it."""
