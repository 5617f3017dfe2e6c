import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FeedbackVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEEDBACK_VERDICT_UNSPECIFIED: _ClassVar[FeedbackVerdict]
    FEEDBACK_VERDICT_CONFIRMED: _ClassVar[FeedbackVerdict]
    FEEDBACK_VERDICT_CORRECTED: _ClassVar[FeedbackVerdict]
    FEEDBACK_VERDICT_UNSURE: _ClassVar[FeedbackVerdict]

class FeedbackState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEEDBACK_STATE_UNSPECIFIED: _ClassVar[FeedbackState]
    FEEDBACK_STATE_ACCEPTED: _ClassVar[FeedbackState]
    FEEDBACK_STATE_QUARANTINED: _ClassVar[FeedbackState]

class ReviewReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REVIEW_REASON_UNSPECIFIED: _ClassVar[ReviewReason]
    REVIEW_REASON_AUDIT: _ClassVar[ReviewReason]
    REVIEW_REASON_UNCERTAIN: _ClassVar[ReviewReason]
    REVIEW_REASON_DISPUTED: _ClassVar[ReviewReason]
FEEDBACK_VERDICT_UNSPECIFIED: FeedbackVerdict
FEEDBACK_VERDICT_CONFIRMED: FeedbackVerdict
FEEDBACK_VERDICT_CORRECTED: FeedbackVerdict
FEEDBACK_VERDICT_UNSURE: FeedbackVerdict
FEEDBACK_STATE_UNSPECIFIED: FeedbackState
FEEDBACK_STATE_ACCEPTED: FeedbackState
FEEDBACK_STATE_QUARANTINED: FeedbackState
REVIEW_REASON_UNSPECIFIED: ReviewReason
REVIEW_REASON_AUDIT: ReviewReason
REVIEW_REASON_UNCERTAIN: ReviewReason
REVIEW_REASON_DISPUTED: ReviewReason

class SubmitFeedbackRequest(_message.Message):
    __slots__ = ("feedback", "request_id")
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    feedback: Feedback
    request_id: str
    def __init__(self, feedback: _Optional[_Union[Feedback, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SubmitFeedbackResponse(_message.Message):
    __slots__ = ("feedback", "state", "trust", "replayed")
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    feedback: Feedback
    state: FeedbackState
    trust: float
    replayed: bool
    def __init__(self, feedback: _Optional[_Union[Feedback, _Mapping]] = ..., state: _Optional[_Union[FeedbackState, str]] = ..., trust: _Optional[float] = ..., replayed: _Optional[bool] = ...) -> None: ...

class Feedback(_message.Message):
    __slots__ = ("name", "inspection", "head", "verdict", "label", "attributes", "user_confidence", "user", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSPECTION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    USER_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    inspection: str
    head: str
    verdict: FeedbackVerdict
    label: str
    attributes: _containers.RepeatedCompositeFieldContainer[AttributeFeedback]
    user_confidence: float
    user: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., inspection: _Optional[str] = ..., head: _Optional[str] = ..., verdict: _Optional[_Union[FeedbackVerdict, str]] = ..., label: _Optional[str] = ..., attributes: _Optional[_Iterable[_Union[AttributeFeedback, _Mapping]]] = ..., user_confidence: _Optional[float] = ..., user: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AttributeFeedback(_message.Message):
    __slots__ = ("attribute", "present")
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    present: bool
    def __init__(self, attribute: _Optional[str] = ..., present: _Optional[bool] = ...) -> None: ...

class GetFeedbackSummaryRequest(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class GetFeedbackSummaryResponse(_message.Message):
    __slots__ = ("heads",)
    HEADS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedCompositeFieldContainer[HeadFeedbackSummary]
    def __init__(self, heads: _Optional[_Iterable[_Union[HeadFeedbackSummary, _Mapping]]] = ...) -> None: ...

class HeadFeedbackSummary(_message.Message):
    __slots__ = ("head", "confirmed_count", "corrected_count", "unsure_count", "most_corrected")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNSURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MOST_CORRECTED_FIELD_NUMBER: _ClassVar[int]
    head: str
    confirmed_count: int
    corrected_count: int
    unsure_count: int
    most_corrected: _containers.RepeatedCompositeFieldContainer[LabelCount]
    def __init__(self, head: _Optional[str] = ..., confirmed_count: _Optional[int] = ..., corrected_count: _Optional[int] = ..., unsure_count: _Optional[int] = ..., most_corrected: _Optional[_Iterable[_Union[LabelCount, _Mapping]]] = ...) -> None: ...

class LabelCount(_message.Message):
    __slots__ = ("label", "count")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    label: str
    count: int
    def __init__(self, label: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ListReviewItemsRequest(_message.Message):
    __slots__ = ("task", "page_size", "page_token")
    TASK_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    task: str
    page_size: int
    page_token: str
    def __init__(self, task: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReviewItemsResponse(_message.Message):
    __slots__ = ("items", "next_page_token")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[ReviewItem]
    next_page_token: str
    def __init__(self, items: _Optional[_Iterable[_Union[ReviewItem, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReviewItem(_message.Message):
    __slots__ = ("inspection", "head", "reason")
    INSPECTION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    inspection: str
    head: str
    reason: ReviewReason
    def __init__(self, inspection: _Optional[str] = ..., head: _Optional[str] = ..., reason: _Optional[_Union[ReviewReason, str]] = ...) -> None: ...

class SubmitReviewRequest(_message.Message):
    __slots__ = ("review", "request_id")
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    review: Feedback
    request_id: str
    def __init__(self, review: _Optional[_Union[Feedback, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SubmitReviewResponse(_message.Message):
    __slots__ = ("review",)
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    review: Feedback
    def __init__(self, review: _Optional[_Union[Feedback, _Mapping]] = ...) -> None: ...
