"""Where the bytes of files are kept: a local folder, or a bucket of S3, Google or Azure."""

from __future__ import annotations

from longshore.stores.blobs.blobs import ObstoreBlobs

__all__ = ["ObstoreBlobs"]
