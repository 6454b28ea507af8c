"""Files on disk: digests, the cache, atomic writes, downloads and bundles. Torch-free.

Bundles and downloads come from outside. They are checked here once and trusted afterwards.
"""

from edgekit.store.bounds import out_of_bounds
from edgekit.store.bundles import read_bundle, write_manifest
from edgekit.store.cache import cache_dir, cache_entries, cache_limit, cached_dir, entries_above
from edgekit.store.code import code_digest
from edgekit.store.digests import content_key, digest_file, sha256_of, stage_key
from edgekit.store.documents import (
    Malformed,
    escaped,
    printable,
    read_records,
    record_from_json,
    write_records,
)
from edgekit.store.downloads import Progress, checkpoint_dir, download
from edgekit.store.entries import CacheEntry, entry_damage, remove_entry
from edgekit.store.folders import (
    atomic_dir,
    require_replaceable,
    require_writable_folder,
    write_atomic,
)
from edgekit.store.manifests import MANIFEST
from edgekit.store.paths import is_special, user_path
from edgekit.store.text_files import utf8_of

__all__ = [
    "MANIFEST",
    "CacheEntry",
    "Malformed",
    "Progress",
    "atomic_dir",
    "cache_dir",
    "cache_entries",
    "cache_limit",
    "cached_dir",
    "checkpoint_dir",
    "code_digest",
    "content_key",
    "digest_file",
    "download",
    "entries_above",
    "entry_damage",
    "escaped",
    "is_special",
    "out_of_bounds",
    "printable",
    "read_bundle",
    "read_records",
    "record_from_json",
    "remove_entry",
    "require_replaceable",
    "require_writable_folder",
    "sha256_of",
    "stage_key",
    "user_path",
    "utf8_of",
    "write_atomic",
    "write_manifest",
    "write_records",
]
