"""Files on disk: digests, the cache, atomic writes, downloads and bundles. Torch-free.

What comes from outside (a bundle, a download) is checked here once and trusted afterwards.
"""

from edgekit.store.bundles import MANIFEST, read_bundle, write_manifest
from edgekit.store.cache import cache_dir, cached_dir
from edgekit.store.code import code_digest
from edgekit.store.digests import content_key, digest_file, sha256_of
from edgekit.store.documents import (
    Malformed,
    printable,
    read_records,
    record_from_json,
    write_records,
)
from edgekit.store.downloads import Progress, checkpoint_dir, download
from edgekit.store.folders import atomic_dir, require_replaceable, write_atomic

__all__ = [
    "MANIFEST",
    "Malformed",
    "Progress",
    "atomic_dir",
    "cache_dir",
    "cached_dir",
    "checkpoint_dir",
    "code_digest",
    "content_key",
    "digest_file",
    "download",
    "printable",
    "read_bundle",
    "read_records",
    "record_from_json",
    "require_replaceable",
    "sha256_of",
    "write_atomic",
    "write_manifest",
    "write_records",
]
