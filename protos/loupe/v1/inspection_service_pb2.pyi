import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.rpc import status_pb2 as _status_pb2
from google.type import latlng_pb2 as _latlng_pb2
from loupe.v1 import prediction_pb2 as _prediction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InspectImageRequest(_message.Message):
    __slots__ = ("task", "image", "heads", "policy", "capture", "device_prediction", "alternative_count", "include_attention_map", "request_id", "user", "routing_key", "may_keep_photo")
    TASK_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    HEADS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    DEVICE_PREDICTION_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ATTENTION_MAP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ROUTING_KEY_FIELD_NUMBER: _ClassVar[int]
    MAY_KEEP_PHOTO_FIELD_NUMBER: _ClassVar[int]
    task: str
    image: Image
    heads: _containers.RepeatedScalarFieldContainer[str]
    policy: CascadePolicy
    capture: Capture
    device_prediction: DevicePrediction
    alternative_count: int
    include_attention_map: bool
    request_id: str
    user: str
    routing_key: str
    may_keep_photo: bool
    def __init__(self, task: _Optional[str] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., heads: _Optional[_Iterable[str]] = ..., policy: _Optional[_Union[CascadePolicy, _Mapping]] = ..., capture: _Optional[_Union[Capture, _Mapping]] = ..., device_prediction: _Optional[_Union[DevicePrediction, _Mapping]] = ..., alternative_count: _Optional[int] = ..., include_attention_map: _Optional[bool] = ..., request_id: _Optional[str] = ..., user: _Optional[str] = ..., routing_key: _Optional[str] = ..., may_keep_photo: _Optional[bool] = ...) -> None: ...

class InspectImageResponse(_message.Message):
    __slots__ = ("inspection", "release", "answers", "uncertainty", "recommendation", "trace", "attention_map", "recorded")
    INSPECTION_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    RECOMMENDATION_FIELD_NUMBER: _ClassVar[int]
    TRACE_FIELD_NUMBER: _ClassVar[int]
    ATTENTION_MAP_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    inspection: str
    release: str
    answers: _containers.RepeatedCompositeFieldContainer[_prediction_pb2.HeadAnswer]
    uncertainty: _prediction_pb2.Uncertainty
    recommendation: _prediction_pb2.Recommendation
    trace: _prediction_pb2.CascadeTrace
    attention_map: AttentionMap
    recorded: bool
    def __init__(self, inspection: _Optional[str] = ..., release: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[_prediction_pb2.HeadAnswer, _Mapping]]] = ..., uncertainty: _Optional[_Union[_prediction_pb2.Uncertainty, _Mapping]] = ..., recommendation: _Optional[_Union[_prediction_pb2.Recommendation, str]] = ..., trace: _Optional[_Union[_prediction_pb2.CascadeTrace, _Mapping]] = ..., attention_map: _Optional[_Union[AttentionMap, _Mapping]] = ..., recorded: _Optional[bool] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class CascadePolicy(_message.Message):
    __slots__ = ("max_tier", "min_tier", "sufficient_confidence")
    MAX_TIER_FIELD_NUMBER: _ClassVar[int]
    MIN_TIER_FIELD_NUMBER: _ClassVar[int]
    SUFFICIENT_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    max_tier: str
    min_tier: str
    sufficient_confidence: float
    def __init__(self, max_tier: _Optional[str] = ..., min_tier: _Optional[str] = ..., sufficient_confidence: _Optional[float] = ...) -> None: ...

class Capture(_message.Message):
    __slots__ = ("device_model", "location", "capture_time", "annotations")
    class AnnotationsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DEVICE_MODEL_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_FIELD_NUMBER: _ClassVar[int]
    ANNOTATIONS_FIELD_NUMBER: _ClassVar[int]
    device_model: str
    location: _latlng_pb2.LatLng
    capture_time: _timestamp_pb2.Timestamp
    annotations: _containers.ScalarMap[str, str]
    def __init__(self, device_model: _Optional[str] = ..., location: _Optional[_Union[_latlng_pb2.LatLng, _Mapping]] = ..., capture_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., annotations: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DevicePrediction(_message.Message):
    __slots__ = ("tier", "release", "outputs")
    TIER_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    tier: str
    release: str
    outputs: _containers.RepeatedCompositeFieldContainer[RawHeadOutput]
    def __init__(self, tier: _Optional[str] = ..., release: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[RawHeadOutput, _Mapping]]] = ...) -> None: ...

class RawHeadOutput(_message.Message):
    __slots__ = ("head", "probabilities")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    head: str
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, head: _Optional[str] = ..., probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class AttentionMap(_message.Message):
    __slots__ = ("row_count", "column_count", "weights")
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_COUNT_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    column_count: int
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, row_count: _Optional[int] = ..., column_count: _Optional[int] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class StreamInspectImagesRequest(_message.Message):
    __slots__ = ("correlation_id", "inspect_image", "timeout")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    INSPECT_IMAGE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    inspect_image: InspectImageRequest
    timeout: _duration_pb2.Duration
    def __init__(self, correlation_id: _Optional[str] = ..., inspect_image: _Optional[_Union[InspectImageRequest, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StreamInspectImagesResponse(_message.Message):
    __slots__ = ("correlation_id", "inspect_image", "error")
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    INSPECT_IMAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    correlation_id: str
    inspect_image: InspectImageResponse
    error: _status_pb2.Status
    def __init__(self, correlation_id: _Optional[str] = ..., inspect_image: _Optional[_Union[InspectImageResponse, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class GetInspectionRequest(_message.Message):
    __slots__ = ("inspection", "include_photo")
    INSPECTION_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_PHOTO_FIELD_NUMBER: _ClassVar[int]
    inspection: str
    include_photo: bool
    def __init__(self, inspection: _Optional[str] = ..., include_photo: _Optional[bool] = ...) -> None: ...

class GetInspectionResponse(_message.Message):
    __slots__ = ("answer", "task", "create_time", "photo")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    PHOTO_FIELD_NUMBER: _ClassVar[int]
    answer: InspectImageResponse
    task: str
    create_time: _timestamp_pb2.Timestamp
    photo: Image
    def __init__(self, answer: _Optional[_Union[InspectImageResponse, _Mapping]] = ..., task: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., photo: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class DeleteInspectionRequest(_message.Message):
    __slots__ = ("inspection",)
    INSPECTION_FIELD_NUMBER: _ClassVar[int]
    inspection: str
    def __init__(self, inspection: _Optional[str] = ...) -> None: ...

class DeleteInspectionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
