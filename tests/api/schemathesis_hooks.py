"""What schemathesis does not know by itself: bytes of a tus upload are sent like any other bytes."""

import schemathesis

schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
