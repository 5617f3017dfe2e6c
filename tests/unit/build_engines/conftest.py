"""One tiny network for all tests of building."""

import pytest
from small_build import small_plan

from build_engines.compile import CompiledEngine, compile_engine
from build_engines.export import export
from build_engines.plan import TierPlan


@pytest.fixture(scope="session")
def plan(tmp_path_factory: pytest.TempPathFactory) -> TierPlan:
    """A trained tiny network, not exported yet."""
    return small_plan(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def engine(plan: TierPlan) -> CompiledEngine:
    """Its engine."""
    export(plan)
    return compile_engine(plan)
