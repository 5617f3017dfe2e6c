"""The cascade solver: thresholds whose promise is tested in finite samples. Pure: evidence in, solution out.

Read in this order: `evidence` (what is known), `promise` (what is wanted), `frontier` (what is worth a test),
`sequence` and `p_values` (which of them pass), `solve` (all of it), `solution` and `labels_needed` (what came of it).
"""

from build_engines.cascade_solver.evidence import (
    NO_LABEL,
    CascadeEvidence,
    CascadeEvidenceError,
    FusedAnswers,
    draw_test_items,
    evidence_from_answers,
)
from build_engines.cascade_solver.exit_policy import ExitPolicy
from build_engines.cascade_solver.fusion import TierFusion, fit_tier_fusion
from build_engines.cascade_solver.labels_needed import LabelNeed, labels_needed
from build_engines.cascade_solver.promise import (
    DisagreementPromise,
    GapPromise,
    Promise,
    PromiseKind,
    SelectivePromise,
    kind_of,
)
from build_engines.cascade_solver.sequence import ProofMethod
from build_engines.cascade_solver.solution import Basis, CascadeSolution, Estimate, MeasuredPolicy
from build_engines.cascade_solver.solve import SolverOptions, solve_cascade

__all__ = [
    "NO_LABEL",
    "Basis",
    "CascadeEvidence",
    "CascadeEvidenceError",
    "CascadeSolution",
    "DisagreementPromise",
    "Estimate",
    "ExitPolicy",
    "FusedAnswers",
    "GapPromise",
    "LabelNeed",
    "MeasuredPolicy",
    "Promise",
    "PromiseKind",
    "ProofMethod",
    "SelectivePromise",
    "SolverOptions",
    "TierFusion",
    "draw_test_items",
    "evidence_from_answers",
    "fit_tier_fusion",
    "kind_of",
    "labels_needed",
    "solve_cascade",
]
