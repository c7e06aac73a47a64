"""What an operator can choose of the engine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Spans of the running machine, in seconds."""

    beat_seconds: float = 5.0  #: Between two beats of a worker's stream.
    time_to_live_seconds: float = 30.0  #: Silence after which a session is expired.
    #: Silence after which a watch is told its revision, so that it knows it within 10 s.
    bookmark_seconds: float = 9.0
    stream_age_seconds: float = 1_800.0  #: Age at which streams are told to reconnect, ± 10 %.
    history_seconds: float = 7 * 86_400.0  #: How far back watches can start.
    compact_every_seconds: float = 60.0
    upload_silence_seconds: float = 60.0  #: Silence after which an upload is given up.
    sweep_every_seconds: float = 60.0  #: Between two removals of files that have expired.
    resend_seconds: float = 7 * 86_400.0  #: Results that ended before are not sent again.
    resend_results: int = 100_000  #: Of a stream; older ones are not sent again.

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        if self.time_to_live_seconds < 3 * self.beat_seconds:
            raise ValueError("time_to_live_seconds must be at least three beats")
