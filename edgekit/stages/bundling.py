"""Put artifacts, golden vectors, manifest and README into one folder, completely or not at all."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from edgekit import store
from edgekit.lowering import write_bundle_files
from edgekit.pack import bundle_readme, make_manifest, write_plan
from edgekit.records import Bundle, Target
from edgekit.stages.artifacts import RuntimeFiles
from edgekit.stages.graphs import LoweredGraphs


def make_bundle(
    final: Path, target: Target, *, graphs: LoweredGraphs, files: RuntimeFiles, replace: bool
) -> Bundle:
    """Fill a temporary folder, read it back, check its digests, and move it to `final`.

    Raises:
        BundleCorrupt: a file is not the one that was made; an older bundle at `final` stays.
        BadInput: `final` exists and `replace` is false, or cannot be written.
    """
    with store.atomic_dir(final, replace=replace) as folder:
        for file in (file for artifact in files.artifacts for file in artifact.contents):
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(files.folder / file.path, folder / file.path)
        shutil.copytree(graphs.folder / "golden", folder / "golden")
        golden = tuple(
            store.digest_file(path, relative_to=folder) for path in sorted(folder.glob("golden/*"))
        )
        manifest = make_manifest(
            graphs.row, target, graphs.source, artifacts=files.artifacts, golden=golden
        )
        if plan := graphs.plan:
            manifest = dataclasses.replace(
                manifest,
                plan=store.digest_file(write_plan(folder, plan), folder),
                calibration=plan.calibration,
            )
        store.write_manifest(folder, manifest)
        store.write_atomic(folder / "README.md", bundle_readme(manifest))
        write_bundle_files(files.artifacts, target, folder)
        # Before the folder takes its place: a damaged file must not replace a sound bundle.
        made = store.read_bundle(folder)
    return dataclasses.replace(made, path=store.user_path(final).absolute())
