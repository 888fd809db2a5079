"""What the sections of a config have in common: frozen, unknown keys are errors, numbers have ranges."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="letters, digits, '.', '_' and '-', at most 64, a letter or digit first (it names a directory)",
    ),
]


class Section(BaseModel):
    """Base of every part of a config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WithOptions(Section):
    """A section whose further keys belong to something chosen by one of its own keys; flat in TOML and JSON."""

    options: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "options" in raw:
            return raw
        own = {key: value for key, value in raw.items() if key in cls.model_fields}
        return {**own, "options": {key: value for key, value in raw.items() if key not in own}}

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in type(self).model_fields if name != "options"}
        return {key: value for key, value in own.items() if value is not None} | self.options
