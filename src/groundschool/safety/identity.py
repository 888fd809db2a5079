"""Which policy it was: a fingerprint of all that decides."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from groundschool.errors import InputError
from groundschool.evaluation._checks import policy_name


def fingerprint(policy: Any) -> str:
    """Return the SHA-256 of a policy's tensors and facts; "" for one that wraps code and has neither.

    Two policies of one fingerprint decide alike. How they were trained, and when, is not part of it.
    """
    describe = getattr(policy, "describe", None)
    if describe is None:
        return ""
    try:
        tensors, facts = describe()
    except InputError:
        return ""
    digest = hashlib.sha256(policy_name(policy).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"{name}:{tensor.dtype.str}:{tensor.shape}".encode())
        digest.update(tensor.tobytes())
    digest.update(json.dumps(_deciding(facts), sort_keys=True, default=str).encode())
    return digest.hexdigest()


def _deciding(facts: Any) -> Any:
    """Return facts without the records of training in them, which hold seconds."""
    if isinstance(facts, dict):
        return {name: _deciding(value) for name, value in facts.items() if name != "training"}
    return [_deciding(value) for value in facts] if isinstance(facts, list | tuple) else facts
