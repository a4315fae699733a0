"""Coded concepts and label sets, as JSON tables with their source."""

from osteon.labels.concept import Concept, concept, concept_names

__all__ = ["Concept", "concept", "concept_names"]
