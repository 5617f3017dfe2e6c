"""The task files: one TOML a task. Read them with `training.task_file`."""
