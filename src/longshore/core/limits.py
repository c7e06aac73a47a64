"""What is refused before anything is stored, in bytes, counts and milliseconds."""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

PAYLOAD_BYTES: Final = MIB  #: Spec, context, results and error of one operation, each.
MESSAGE_BYTES: Final = 4 * MIB  #: One gRPC message.
PAGE_BYTES: Final = MIB  #: A page or watch message closes at this size.
PAGE_SIZE: Final = 1_000
PAGE_SIZE_DEFAULT: Final = 100
BATCH_SUBMIT: Final = 1_000
BATCH_GET: Final = 10_000
MOVED_AT_ONCE: Final = 1_000  #: Launches of one move.
LABELS: Final = 64
LABEL_CHARACTERS: Final = 63
NAME_CHARACTERS: Final = 63  #: Names of queues, actions, services, workers and keys.
REQUEST_ID_CHARACTERS: Final = 64
PLAN_ACTIONS: Final = 100
WATCH_IDS: Final = 10_000
#: Objects and lists within each other. Readers of protobuf stop at 100 messages within each
#: other, and an object within an object is three.
STRUCT_DEPTH: Final = 30
TITLE_CHARACTERS: Final = 256  #: The name of a task, for people.
SLOTS: Final = 10_000
LOG_BYTES: Final = 16 * 1024
LOGS_PER_ATTEMPT: Final = 10_000
PROPERTIES_BYTES: Final = 64 * 1024
CANCEL_MESSAGE_BYTES: Final = 16 * 1024
PRIORITY_HIGHEST: Final = 9
MAX_ATTEMPTS: Final = 1_000
PROGRESS_EVERY_MS: Final = 1_000
CANCEL_GRACE_MS: Final = 30_000
EXPIRE_AFTER_MS: Final = 30 * 24 * 3_600_000
EXPIRE_AFTER_LEAST_MS: Final = 10 * 60_000
URL_CHARACTERS: Final = 2_048
CHUNK_BYTES: Final = MIB  #: Of what is in files and results, at most so much at once.
FILE_BYTES: Final = 64 * 1024 * MIB  #: As many as services keep in parts of our size.
FILE_PATH_BYTES: Final = 512
FILE_NAME_BYTES: Final = 255  #: One part of a path.
FILES_PER_OPERATION: Final = 1_000
FILE_EXPIRE_AFTER_MS: Final = 30 * 60_000  #: Of an uploaded file, unless it says otherwise.
BLOB_WRITTEN_WITHIN_MS: Final = 60 * 60_000  #: Of an upload that does not ask for more time.
ACKNOWLEDGED_AT_ONCE: Final = 10_000
WRITER_CHANGES: Final = 1_000  #: Changes of one batch.
#: What one batch does of that which is due. More than one in full of work that is submitted,
#: ended and delivered makes due, so that nothing waits ever longer.
WRITER_DUE: Final = 2 * WRITER_CHANGES
#: What expires in one batch, which nobody waits for. What is to expire was submitted and
#: ended, which are two changes, so that this is no less than a batch in full makes expire.
WRITER_EXPIRING: Final = WRITER_CHANGES // 2
WRITER_BYTES: Final = 4 * MIB
NEWS_EVENTS: Final = 1_000  #: Of other servers, told at once.
#: More events of other servers than this are not told one by one: what they were about is
#: read anew.
FOREIGN_EVENTS: Final = 10_000
WRITER_WAITING: Final = 10_000  #: Waiting changes above which submits are refused.
