"""The program that a bundle carries: ``python3 <bundle>`` checks it and puts it into place."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .extraction import extract, home_hint, require_machine
from .faults import BundleFault
from .manifest import Manifest, next_command, parts_of
from .signature import Answer, check_signature, require_signature
from .verification import check_files, open_bundle
from .volumes import open_source

INTERRUPTED = 130
TICK_S = 5.0


def main(argv: list[str] | None = None, bundle: str | None = None) -> int:
    """Load, verify or show the bundle that this program came in (or BUNDLE); return the exit code."""
    asked = _arguments(argv, bundle)
    try:
        return _run(asked)
    except BundleFault as fault:
        _say(f"assay: {fault.message}")
        _say(f"  → {fault.remedy}")
        return fault.exit_code
    except KeyboardInterrupt:
        _say("assay: interrupted; nothing is left of this load")
        return INTERRUPTED


def _arguments(argv: list[str] | None, bundle: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 <bundle>",
        description="Check this bundle of Assay to its last byte and put it into place.",
    )
    parser.add_argument("action", nargs="?", default="load", choices=("load", "verify", "show"))
    parser.add_argument("--bundle", default=bundle, help=argparse.SUPPRESS)
    parser.add_argument("--into", default=os.environ.get("INTO"), help="default: ./assay-<id>")
    parser.add_argument(
        "--allowed-signers",
        default=os.environ.get("ALLOWED_SIGNERS"),
        help="keys whose signature counts, as ssh-keygen -Y reads them",
    )
    parser.add_argument(
        "--require-signature",
        action="store_true",
        default=os.environ.get("REQUIRE_SIGNATURE") == "1",
        help="refuse a bundle that no known key signed",
    )
    parser.add_argument(
        "--no-images", action="store_true", help="do not hand the images to this machine's engine"
    )
    return parser.parse_args(argv)


def _run(asked: argparse.Namespace) -> int:
    with open_source(Path(asked.bundle)) as source:
        opened = open_bundle(source)
        manifest = opened.manifest
        answer = check_signature(opened, asked.allowed_signers)
        if asked.require_signature:
            require_signature(answer)
        _describe(manifest, answer)
        if asked.action == "show":
            for role, count, size in parts_of(manifest.entries):
                _say(f"  {role}: {count} files, {size / 1e6:.1f} MB")
            return 0
        if asked.action == "verify":
            check_files(opened, progress=_Ticker("checked"))
            _say(f"every file is what the manifest says: {len(manifest.entries)} files")
            return 0
        require_machine(manifest)
        into = asked.into or f"assay-{manifest.id}"
        loaded = extract(opened, Path(into), note=_say, progress=_Ticker("loaded"))
    how = "already loaded:" if loaded.present else "loaded into"
    _say(f"{how} {loaded.folder}")
    if manifest.document["images"] and not asked.no_images:
        _hand_over_images(loaded.folder)
    hint = home_hint(loaded.folder)
    if hint:
        _say(hint)
    _say(f"next: cd {loaded.folder} && {next_command(manifest)}; docs/bundles.md has every step")
    return 0


def _describe(manifest: Manifest, answer: Answer) -> None:
    document = manifest.document
    total = sum(entry.bytes for entry in manifest.entries)
    cases = ", ".join(document["cases"]) or "no case"
    _say(f"bundle {manifest.id}: {cases}")
    _say(
        f"  {len(manifest.entries)} files, {total / 1e6:.1f} MB, for {document['machine']}; {answer}"
    )
    _say(f"  Assay {document['assay']}, commit {document['commit'] or 'unknown'}")
    for image in document["images"]:
        _say(f"  image {image['name']}")
    for missing in document["elsewhere"]:
        _say(f"  not in it: {missing['what']} → {missing['how']}")


def _hand_over_images(folder: Path) -> None:
    """Have the driver that was loaded give the images to the engine, where one answers."""
    _say("handing the images to this machine's container engine")
    command = [str(folder / "driver" / "assay"), "load"]
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in ("ASSAY_HOME", "BUNDLE", "INTO")
    }
    try:
        code = subprocess.call(command, cwd=str(folder), env=dict(env, OFFLINE="1"))
    except OSError as error:
        _say(f"  {command[0]} cannot be run: {error.strerror}")
        code = 1
    if code != 0:
        _say(f"  the images are in {folder}/.assay/bundle, an OCI image layout;")
        _say("  try again with `make load` there, or use RUNNER=process")


class _Ticker:
    """Says every few seconds how far it is."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Hear of bytes done."""
        now = time.monotonic()
        if now - self._last >= TICK_S:
            self._last = now
            _say(f"  {self._what} {done / 1e6:.0f} of {total / 1e6:.0f} MB")


def _say(text: Any) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
