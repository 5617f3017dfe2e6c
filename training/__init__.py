"""Training: tasks, rendered data, models and their evaluation. It meets the engine builder only in files on disk."""
