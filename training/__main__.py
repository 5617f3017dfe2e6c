"""The console command `loupe-train`: it only gathers the commands."""

import typer

from training import (
    commands_audit,
    commands_cross_validate,
    commands_data,
    commands_evaluate,
    commands_import,
    commands_one_class,
    commands_train,
)

app = typer.Typer(no_args_is_help=True, help="Render or import data, train tiers and evaluate them.")
app.add_typer(commands_data.app)
app.add_typer(commands_import.app)
app.add_typer(commands_audit.app)
app.add_typer(commands_train.app)
app.add_typer(commands_evaluate.app)
app.add_typer(commands_one_class.app)
app.add_typer(commands_cross_validate.app)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
