"""What people see of answers and tasks: pure functions from messages to Rich renderables."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loupe.v1 import inspection_service_pb2 as inspection_pb
from loupe.v1 import prediction_pb2 as prediction_pb
from loupe.v1 import task_service_pb2 as task_pb

_RECOMMENDATIONS = {
    prediction_pb.RECOMMENDATION_ACCEPT: ("accept", "bold green", "the result is reliable"),
    prediction_pb.RECOMMENDATION_LIKELY: ("likely", "green", "the result is likely right"),
    prediction_pb.RECOMMENDATION_RETAKE_SUGGESTED: ("retake suggested", "yellow", "consider to take the photo again"),
    prediction_pb.RECOMMENDATION_RETAKE_REQUIRED: ("retake required", "bold red", "the result is unreliable"),
}
_BAR_CELLS = 12
_SURE = 0.90
_LIKELY = 0.75


def answer_view(answer: inspection_pb.InspectImageResponse, *, title: str) -> RenderableType:
    """Returns an answer as a table, with the recommendation and the trace below it."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.ROUNDED, padding=(0, 1))
    table.add_column("Question", style="cyan", no_wrap=True)
    table.add_column("Answer", style="bold")
    table.add_column("Confidence", no_wrap=True)
    table.add_column("Other possibilities", style="dim")
    for head in answer.answers:
        if head.HasField("category"):
            category = head.category
            others = ", ".join(f"{_words(each.label)} {each.confidence:.0%}" for each in category.alternatives)
            table.add_row(_words(head.head), _words(category.label), _bar(category.confidence, category), others)
        else:
            _add_attributes(table, head)
    return Group(table, _recommendation(answer), _trace(answer))


def tasks_view(tasks: Sequence[task_pb.Task]) -> RenderableType:
    """Returns the served tasks as a table."""
    table = Table(title="Tasks", title_justify="left", title_style="bold", box=box.ROUNDED)
    for heading in ("Task", "Question", "Labels", "Tiers", "Release"):
        table.add_column(heading, overflow="fold")
    for task in tasks:
        tiers = ", ".join(f"{each.id} ({each.precision}, {each.input_size_px} px)" for each in task.tiers)
        release = task.active_release.rpartition("/")[2]
        for index, head in enumerate(task.heads):
            mark = " *" if head.id in task.decision_heads else ""
            start = (
                (f"[bold cyan]{task.name.removeprefix('tasks/')}[/]", tiers, release) if index == 0 else ("", "", "")
            )
            table.add_row(start[0], f"{head.id}{mark}", ", ".join(head.labels), *start[1:])
        table.add_section()
    return Group(table, Text("* must be sure before the cascade may stop", style="dim"))


def _add_attributes(table: Table, head: prediction_pb.HeadAnswer) -> None:
    attributes = sorted(head.attributes.attributes, key=lambda each: -each.probability)
    present = [each for each in attributes if each.present]
    name = _words(head.head)
    for each in present:
        table.add_row(name, _words(each.attribute), _bar(each.probability, each), "")
        name = ""
    absent = ", ".join(f"{_words(each.attribute)} {each.probability:.0%}" for each in attributes if not each.present)
    table.add_row(name, Text("none" if not present else "", style="dim"), "", absent and f"not seen: {absent}")


def _bar(confidence: float, answer: prediction_pb.CategoryAnswer | prediction_pb.AttributeAnswer) -> Text:
    """Returns a bar and a percentage, coloured by how sure it is, and the band around it if there is one."""
    style = "green" if confidence >= _SURE else "yellow" if confidence >= _LIKELY else "red"
    filled = round(confidence * _BAR_CELLS)
    band = f" ({answer.band.lower:.0%}-{answer.band.upper:.0%})" if answer.HasField("band") else ""
    return Text.assemble(
        ("━" * filled, style), ("━" * (_BAR_CELLS - filled), "bright_black"), f" {confidence:6.1%}", (band, "dim")
    )


def _recommendation(answer: inspection_pb.InspectImageResponse) -> Text:
    name, style, meaning = _RECOMMENDATIONS.get(answer.recommendation, ("unknown", "dim", "the client is too old"))
    stranger = "; the photo is unlike those that the model was trained for"
    return Text.assemble(
        " Recommendation: ",
        (name, style),
        f" ({meaning}{stranger if answer.uncertainty.out_of_distribution else ''})",
    )


def _trace(answer: inspection_pb.InspectImageResponse) -> Text:
    trace = answer.trace
    path = " → ".join(each.tier for each in trace.tier_runs)
    reason = prediction_pb.StopReason.Name(trace.stop_reason).removeprefix("STOP_REASON_").lower().replace("_", " ")
    ending = f"{reason}, degraded" if trace.degraded else reason
    duration_ms = trace.total_duration.ToMicroseconds() / 1000
    uncertainty = answer.uncertainty
    lines = (
        f"Uncertainty: {uncertainty.epistemic:.0%} epistemic, {uncertainty.aleatoric:.0%} aleatoric",
        f"Tier: {path} ({ending}), {duration_ms:.1f} ms",
        f"{answer.release}, {answer.inspection}",
    )
    return Text("\n".join(f" {line}" for line in lines), style="dim")


def _words(identifier: str) -> str:
    return identifier.replace("_", " ")
