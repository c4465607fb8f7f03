"""Which objects a label selector selects, as Kubernetes defines it; everybody asks alike."""

from collections.abc import Mapping

from foreshore_api.v1alpha1 import selection


def selects(selector: selection.LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether every term of the selector holds; one without terms selects nothing here.

    Kubernetes lets an empty selector select everything; the schema refuses it, and so does this.
    """
    if not selector.match_labels and not selector.match_expressions:
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _holds(term, labels) for term in selector.match_expressions
    )


def _holds(term: selection.SelectorRequirement, labels: Mapping[str, str]) -> bool:
    match term.operator:
        case selection.SelectorOperator.IN:
            return labels.get(term.key) in term.values
        case selection.SelectorOperator.NOT_IN:
            return labels.get(term.key) not in term.values
        case selection.SelectorOperator.EXISTS:
            return term.key in labels
        case selection.SelectorOperator.DOES_NOT_EXIST:
            return term.key not in labels
