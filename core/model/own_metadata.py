"""The description of our own checkpoints, in the metadata of their safetensors file.

It makes one file enough to use the weights correctly: the findings in the order of the head, the
input normalisation, the rule from stored values to grey, and digests of the patients they were
trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.data.images.grey_rule import DEFAULT, GreyRule
from core.errors import DataError
from core.model.input_spec import InputSpec
from core.model.provenance import Provenance

KEY = "cxr-tui"
"""The only key of the metadata; safetensors would write several in arbitrary order."""

_FORMAT, _ARCHITECTURE = 1, "densenet121"


@dataclass(frozen=True)
class OwnMetadata:
    """A checkpoint's description of itself."""

    findings: tuple[str, ...]
    input_spec: InputSpec
    provenance: Provenance
    grey: GreyRule = DEFAULT


def write_metadata(
    findings: Sequence[str],
    input_spec: InputSpec,
    provenance: Provenance,
    grey: GreyRule = DEFAULT,
) -> dict[str, str]:
    """The metadata for a checkpoint's model file."""
    described = {
        "format": _FORMAT,
        "architecture": _ARCHITECTURE,
        "findings": list(findings),
        "input": input_spec.to_json(),
        "provenance": provenance.to_json(),
    }
    if grey != DEFAULT:
        described["grey"] = grey.to_json()
    return {KEY: json.dumps(described, sort_keys=True)}


def read_metadata(metadata: Mapping[str, str], *, where: object) -> OwnMetadata | None:
    """The description of a checkpoint; None if it isn't one of ours.

    Raises:
        DataError: it is one of ours, but can't be read.
    """
    if KEY not in metadata:
        return None
    try:
        described = json.loads(metadata[KEY])
        written_by = described["format"], described["architecture"]
        findings = tuple(str(finding) for finding in described["findings"])
        parts = described["input"], described["provenance"]
        grey = GreyRule.from_json(described.get("grey", {}))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
        grey,
    )
