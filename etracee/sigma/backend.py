"""The backend for pySigma: a rule's condition becomes an expression of ours."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
)
from sigma.conversion.base import Backend
from sigma.conversion.state import ConversionState
from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaExists,
    SigmaExpansion,
    SigmaNull,
    SigmaNumber,
    SigmaString,
    SigmaType,
)

from etracee.sigma.clauses import (
    Answer,
    Clause,
    NotExpressibleError,
    Unsaid,
    all_of,
    any_of,
    compare,
    negate,
)
from etracee.sigma.pipeline import UNKNOWN, pipeline_for
from etracee.sigma.sources import LogSource
from etracee.sigma.words import compare_text, quote, regex_of
from etracee.types import Kind

Item = ConditionFieldEqualsValueExpression

_SIGNS = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
    CompareOperators.NEQ: "!=",
}
_BARE = re.compile(r"[0-9A-Za-z_.:]+")
_HEXADECIMAL = re.compile(r"(?:0x)?[0-9A-Fa-f]{1,16}")


class EtraceeBackend(Backend):
    """Converts rules of one log source; `kinds` are those of our fields.

    What has no counterpart becomes Unsaid. `used` are our fields that were compared.
    """

    name = "etracee"
    identifier = "etracee"
    formats = {"default": "expression"}  # noqa: RUF012 - pySigma declares it so

    def __init__(self, source: LogSource, kinds: Mapping[str, Kind], *, ignore_case: bool) -> None:
        super().__init__(pipeline_for(source))
        self.source, self.kinds, self.ignore_case = source, kinds, ignore_case
        self.used: set[str] = set()

    def convert_condition_or(self, cond: ConditionOR, state: ConversionState) -> Answer:
        return any_of([self.convert_condition(part, state) for part in _alternatives(cond)])

    def convert_condition_and(self, cond: ConditionAND, state: ConversionState) -> Answer:
        return all_of([self.convert_condition(part, state) for part in cond.args])

    def convert_condition_not(self, cond: ConditionNOT, state: ConversionState) -> Answer:
        return negate(self.convert_condition(cond.args[0], state))

    def convert_condition_field_eq_val(self, cond: Item, state: ConversionState) -> Any:
        """Answer what every entry of the log source answers alike; compare the rest."""
        if cond.field.startswith(UNKNOWN):
            return Unsaid(f"no counterpart of {cond.field.removeprefix(UNKNOWN)}")
        if cond.field in self.source.absent:
            return _fits_nothing(cond.value)
        try:
            if cond.field in self.source.words:
                return self._word(cond)
            if cond.field in self.source.facts and not isinstance(cond.value, SigmaExpansion):
                return self._fact(cond)
            self.used.add(cond.field)
            return super().convert_condition_field_eq_val(cond, state)
        except NotExpressibleError as error:
            return Unsaid(str(error))

    def _word(self, cond: Item) -> Clause:
        known, word = self.source.words[cond.field], str(cond.value).lower()
        if word not in known:
            raise NotExpressibleError(
                f"no counterpart of {cond.field}, unless it is {' or '.join(known)}"
            )
        return Clause(known[word])

    def _fact(self, cond: Item) -> bool:
        if isinstance(cond.value, SigmaNull | SigmaExists):
            return not _fits_nothing(cond.value)
        is_plain = isinstance(cond.value, SigmaString | SigmaBool | SigmaNumber)
        if not is_plain or (isinstance(cond.value, SigmaString) and cond.value.contains_special()):
            raise NotExpressibleError(f"a pattern for the field {cond.field}")
        return str(cond.value).lower() in self.source.facts[cond.field]

    def convert_condition_field_eq_val_str(self, cond: Item, _state: ConversionState) -> Answer:
        return self._text(cond, ignore_case=self.ignore_case)

    def convert_condition_field_eq_val_str_case_sensitive(
        self, cond: Item, _state: ConversionState
    ) -> Answer:
        return self._text(cond, ignore_case=False)

    def _text(self, cond: Item, *, ignore_case: bool) -> Answer:
        value = cond.value
        assert isinstance(value, SigmaString)
        if self.kinds[cond.field] is not Kind.TEXT:
            return self._plain(cond)
        operator, constant = compare_text(value, ignore_case=ignore_case)
        if constant is None:
            return Clause(f"{cond.field} {operator}")
        return compare(cond.field, operator, quote(constant))

    def convert_condition_field_eq_val_num(self, cond: Item, _state: ConversionState) -> Answer:
        if self.kinds[cond.field] is Kind.TEXT:
            return compare(cond.field, "=", quote(str(cond.value)))
        return self._plain(cond)

    def _plain(self, cond: Item) -> Answer:
        """Compare a number, flags or an address with what is written."""
        if isinstance(cond.value, SigmaString) and cond.value.contains_special():
            raise NotExpressibleError(f"wildcards in {cond.field}, which is no text")
        word = str(cond.value)
        if cond.field in self.source.hexadecimal:
            return self._hexadecimal(cond.field, word)
        return compare(cond.field, "=", word if _BARE.fullmatch(word) else quote(word))

    def _hexadecimal(self, field: str, word: str) -> Answer:
        """Compare with a number of an audit record; no number is written in other characters."""
        if not _HEXADECIMAL.fullmatch(word):
            return False
        test = compare(field, "=", str(int(word, 16)))
        is_set = self.kinds[field] is Kind.FLAGS  # which has no `in`
        return Clause(test.text) if is_set else test

    def convert_condition_field_eq_val_bool(self, cond: Item, _state: ConversionState) -> NoReturn:
        raise NotExpressibleError(f"{cond.field} compared with {cond.value}")

    def convert_condition_field_eq_val_re(self, cond: Item, _state: ConversionState) -> Clause:
        return compare(cond.field, "matches", quote(regex_of(cond.value)))  # type: ignore[arg-type]

    def convert_condition_field_eq_val_cidr(self, cond: Item, _state: ConversionState) -> Clause:
        network = str(ipaddress.ip_network(cond.value.cidr))  # type: ignore[attr-defined]
        return Clause(f"{cond.field} in {network}", equal=(cond.field, network))

    def convert_condition_field_compare_op_val(self, cond: Item, _state: ConversionState) -> Clause:
        value = cond.value
        if cond.field in self.source.hexadecimal:
            raise NotExpressibleError("an order of numbers in hexadecimal")
        return compare(cond.field, _SIGNS[value.op], str(value.number))  # type: ignore[attr-defined]

    def convert_condition_field_eq_val_null(self, cond: Item, _state: ConversionState) -> Clause:
        return Clause(f"not {cond.field} exists")

    def convert_condition_field_exists(self, cond: Item, _state: ConversionState) -> Clause:
        return Clause(f"{cond.field} exists")

    def convert_condition_field_not_exists(self, cond: Item, _state: ConversionState) -> Clause:
        return Clause(f"not {cond.field} exists")

    def convert_condition_field_eq_field(self, _cond: Item, _state: ConversionState) -> NoReturn:
        raise NotExpressibleError("a comparison of two fields")

    def convert_condition_field_eq_val_timestamp_part(
        self, _cond: Item, _state: ConversionState
    ) -> NoReturn:
        raise NotExpressibleError("a part of a time of day")

    def convert_condition_field_eq_query_expr(
        self, _cond: Item, _state: ConversionState
    ) -> NoReturn:
        raise NotExpressibleError("a query in another language")

    def _refuse_words(self, *_arguments: object, **_options: object) -> Answer:
        return Unsaid("words that are looked for in every field")

    convert_condition_val_str = _refuse_words
    convert_condition_val_num = _refuse_words
    convert_condition_val_re = _refuse_words
    convert_condition_query_expr = _refuse_words

    def _refuse(self, *_arguments: object, **_options: object) -> NoReturn:
        raise NotExpressibleError("a correlation of rules")

    # pySigma asks a backend to say something of each of these.
    convert_condition_as_in_expression = _refuse
    convert_correlation_event_count_rule = _refuse
    convert_correlation_value_count_rule = _refuse
    convert_correlation_value_sum_rule = _refuse
    convert_correlation_value_avg_rule = _refuse
    convert_correlation_value_percentile_rule = _refuse
    convert_correlation_value_median_rule = _refuse
    convert_correlation_temporal_rule = _refuse
    convert_correlation_temporal_ordered_rule = _refuse
    convert_correlation_extended_temporal_rule = _refuse
    convert_correlation_extended_temporal_ordered_rule = _refuse


def _fits_nothing(value: SigmaType) -> bool:
    """Say whether a field that is not there has the value."""
    return isinstance(value, SigmaNull) or (isinstance(value, SigmaExists) and not value)


def _alternatives(cond: ConditionOR) -> Iterator[Any]:
    """Return the parts of nested disjunctions, so that all equalities with a field meet."""
    for part in cond.args:
        if isinstance(part, ConditionOR):
            yield from _alternatives(part)
        else:
            yield part
