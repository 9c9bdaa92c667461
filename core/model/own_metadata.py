"""What our own checkpoints say of themselves, in the metadata of their safetensors file.

One file is enough to use the weights rightly: the findings in the order of the head,
what the weights expect of an image, and digests of the patients they were trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.errors import DataError
from core.model.input_spec import InputSpec
from core.model.provenance import Provenance

KEY = "cxr-tui"
"""The one key of the metadata; with several, safetensors would write them in any order."""

_FORMAT, _ARCHITECTURE = 1, "densenet121"


@dataclass(frozen=True)
class OwnMetadata:
    """A checkpoint of a session, described by itself."""

    findings: tuple[str, ...]
    input_spec: InputSpec
    provenance: Provenance


def write_metadata(
    findings: Sequence[str], input_spec: InputSpec, provenance: Provenance
) -> dict[str, str]:
    """The metadata for a checkpoint's model file."""
    described = {
        "format": _FORMAT,
        "architecture": _ARCHITECTURE,
        "findings": list(findings),
        "input": input_spec.to_json(),
        "provenance": provenance.to_json(),
    }
    return {KEY: json.dumps(described, sort_keys=True)}


def read_metadata(metadata: Mapping[str, str], *, where: object) -> OwnMetadata | None:
    """What a checkpoint says of itself; None where it isn't one of ours.

    Raises:
        DataError: it is one of ours, and can't be read.
    """
    if KEY not in metadata:
        return None
    try:
        described = json.loads(metadata[KEY])
        written_by = described["format"], described["architecture"]
        findings = tuple(str(finding) for finding in described["findings"])
        parts = described["input"], described["provenance"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"its description can't be read ({error!r})",
            where=where,
            remedy="Use another checkpoint of the session",
        ) from error
    if written_by != (_FORMAT, _ARCHITECTURE):
        raise DataError(
            f"a checkpoint of another format or network {written_by}",
            where=where,
            remedy="Use the version of cxr-tui that wrote it",
        )
    return OwnMetadata(
        findings,
        InputSpec.from_json(parts[0], where=where),
        Provenance.from_json(parts[1], where=where),
    )
