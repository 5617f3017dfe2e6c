import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Recommendation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECOMMENDATION_UNSPECIFIED: _ClassVar[Recommendation]
    RECOMMENDATION_ACCEPT: _ClassVar[Recommendation]
    RECOMMENDATION_LIKELY: _ClassVar[Recommendation]
    RECOMMENDATION_RETAKE_SUGGESTED: _ClassVar[Recommendation]
    RECOMMENDATION_RETAKE_REQUIRED: _ClassVar[Recommendation]

class StopReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_REASON_UNSPECIFIED: _ClassVar[StopReason]
    STOP_REASON_CONFIDENT: _ClassVar[StopReason]
    STOP_REASON_LAST_TIER: _ClassVar[StopReason]
    STOP_REASON_TIER_LIMIT: _ClassVar[StopReason]
    STOP_REASON_DEADLINE: _ClassVar[StopReason]
    STOP_REASON_TIER_UNAVAILABLE: _ClassVar[StopReason]
    STOP_REASON_OVERLOAD: _ClassVar[StopReason]
RECOMMENDATION_UNSPECIFIED: Recommendation
RECOMMENDATION_ACCEPT: Recommendation
RECOMMENDATION_LIKELY: Recommendation
RECOMMENDATION_RETAKE_SUGGESTED: Recommendation
RECOMMENDATION_RETAKE_REQUIRED: Recommendation
STOP_REASON_UNSPECIFIED: StopReason
STOP_REASON_CONFIDENT: StopReason
STOP_REASON_LAST_TIER: StopReason
STOP_REASON_TIER_LIMIT: StopReason
STOP_REASON_DEADLINE: StopReason
STOP_REASON_TIER_UNAVAILABLE: StopReason
STOP_REASON_OVERLOAD: StopReason

class HeadAnswer(_message.Message):
    __slots__ = ("head", "category", "attributes")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    head: str
    category: CategoryAnswer
    attributes: AttributesAnswer
    def __init__(self, head: _Optional[str] = ..., category: _Optional[_Union[CategoryAnswer, _Mapping]] = ..., attributes: _Optional[_Union[AttributesAnswer, _Mapping]] = ...) -> None: ...

class CategoryAnswer(_message.Message):
    __slots__ = ("label", "confidence", "band", "alternatives", "prediction_set", "prediction_set_coverage", "raw_confidence")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_SET_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_SET_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    RAW_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    label: str
    confidence: float
    band: ConfidenceBand
    alternatives: _containers.RepeatedCompositeFieldContainer[LabelConfidence]
    prediction_set: _containers.RepeatedScalarFieldContainer[str]
    prediction_set_coverage: float
    raw_confidence: float
    def __init__(self, label: _Optional[str] = ..., confidence: _Optional[float] = ..., band: _Optional[_Union[ConfidenceBand, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[LabelConfidence, _Mapping]]] = ..., prediction_set: _Optional[_Iterable[str]] = ..., prediction_set_coverage: _Optional[float] = ..., raw_confidence: _Optional[float] = ...) -> None: ...

class AttributesAnswer(_message.Message):
    __slots__ = ("attributes",)
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeAnswer]
    def __init__(self, attributes: _Optional[_Iterable[_Union[AttributeAnswer, _Mapping]]] = ...) -> None: ...

class AttributeAnswer(_message.Message):
    __slots__ = ("attribute", "present", "probability", "band")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    BAND_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    present: bool
    probability: float
    band: ConfidenceBand
    def __init__(self, attribute: _Optional[str] = ..., present: _Optional[bool] = ..., probability: _Optional[float] = ..., band: _Optional[_Union[ConfidenceBand, _Mapping]] = ...) -> None: ...

class LabelConfidence(_message.Message):
    __slots__ = ("label", "confidence")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    label: str
    confidence: float
    def __init__(self, label: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class ConfidenceBand(_message.Message):
    __slots__ = ("lower", "upper", "coverage")
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    lower: float
    upper: float
    coverage: float
    def __init__(self, lower: _Optional[float] = ..., upper: _Optional[float] = ..., coverage: _Optional[float] = ...) -> None: ...

class Uncertainty(_message.Message):
    __slots__ = ("epistemic", "aleatoric", "out_of_distribution")
    EPISTEMIC_FIELD_NUMBER: _ClassVar[int]
    ALEATORIC_FIELD_NUMBER: _ClassVar[int]
    OUT_OF_DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    epistemic: float
    aleatoric: float
    out_of_distribution: bool
    def __init__(self, epistemic: _Optional[float] = ..., aleatoric: _Optional[float] = ..., out_of_distribution: _Optional[bool] = ...) -> None: ...

class CascadeTrace(_message.Message):
    __slots__ = ("tier", "stop_reason", "degraded", "guarantee_applies", "tier_runs", "total_duration")
    TIER_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    GUARANTEE_APPLIES_FIELD_NUMBER: _ClassVar[int]
    TIER_RUNS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_DURATION_FIELD_NUMBER: _ClassVar[int]
    tier: str
    stop_reason: StopReason
    degraded: bool
    guarantee_applies: bool
    tier_runs: _containers.RepeatedCompositeFieldContainer[TierRun]
    total_duration: _duration_pb2.Duration
    def __init__(self, tier: _Optional[str] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., degraded: _Optional[bool] = ..., guarantee_applies: _Optional[bool] = ..., tier_runs: _Optional[_Iterable[_Union[TierRun, _Mapping]]] = ..., total_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class TierRun(_message.Message):
    __slots__ = ("tier", "engine", "decisions", "run_duration")
    TIER_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    RUN_DURATION_FIELD_NUMBER: _ClassVar[int]
    tier: str
    engine: Engine
    decisions: _containers.RepeatedCompositeFieldContainer[HeadDecision]
    run_duration: _duration_pb2.Duration
    def __init__(self, tier: _Optional[str] = ..., engine: _Optional[_Union[Engine, _Mapping]] = ..., decisions: _Optional[_Iterable[_Union[HeadDecision, _Mapping]]] = ..., run_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Engine(_message.Message):
    __slots__ = ("model", "precision", "sha256")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    model: str
    precision: str
    sha256: str
    def __init__(self, model: _Optional[str] = ..., precision: _Optional[str] = ..., sha256: _Optional[str] = ...) -> None: ...

class HeadDecision(_message.Message):
    __slots__ = ("head", "confidence", "threshold")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    head: str
    confidence: float
    threshold: float
    def __init__(self, head: _Optional[str] = ..., confidence: _Optional[float] = ..., threshold: _Optional[float] = ...) -> None: ...
