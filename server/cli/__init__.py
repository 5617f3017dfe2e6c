"""The command `loupe`: serves, and asks what serves. Typer for commands, Rich for what people see."""
