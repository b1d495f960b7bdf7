"""The processing pipeline: Sigma's field names become ours, or are marked as unknown."""

from __future__ import annotations

from dataclasses import dataclass

from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations.base import FieldMappingTransformationBase
from sigma.rule import SigmaDetection, SigmaDetectionItem
from sigma.types import SigmaNumber, SigmaString, SigmaType

from etracee.sigma.sources import LogSource

UNKNOWN = "?"
"""What stands before the name of a field that has no counterpart; no field of ours begins so."""


@dataclass
class MapFields(FieldMappingTransformationBase):
    """Maps the fields of one log source; those that are answered in other ways keep their names."""

    source: LogSource

    def apply_field_name(self, field: str | None) -> str | list[str] | None:
        if field is None:
            return self.source.keywords
        if any(field in names for names in self.source.unmapped):
            return None
        return self.source.fields.get(field, UNKNOWN + field)

    def apply_detection_item(
        self, detection_item: SigmaDetectionItem
    ) -> SigmaDetection | SigmaDetectionItem | None:
        """Map one item; a number among the keywords is a text."""
        if detection_item.field is None:
            detection_item.value = [_as_text(value) for value in detection_item.value]
        return super().apply_detection_item(detection_item)


def _as_text(value: SigmaType) -> SigmaType:
    return SigmaString(str(value)) if isinstance(value, SigmaNumber) else value


def pipeline_for(source: LogSource) -> ProcessingPipeline:
    """Return the pipeline for rules of this log source."""
    item = ProcessingItem(MapFields(source), identifier="etracee_fields")
    return ProcessingPipeline(name=f"etracee {source.name}", items=[item])
