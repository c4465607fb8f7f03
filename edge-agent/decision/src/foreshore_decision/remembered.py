"""Answers about objects, remembered by identity for as long as the objects live.

Resources stay the same objects from pass to pass until somebody edits them, so what is asked of
them again and again is worked out once. Equality would cost more than most answers do. A cache of
the last so many answers was rejected: its keys keep every earlier state of every device, which in
a fleet of ten thousand took more memory than all else together.
"""

import weakref
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

AnswerKey = tuple[int | str, ...]
"""Identities of objects, and texts."""

_Kept = tuple[tuple["_AnswerSubject", ...], T]
"""What an answer is about, and the answer."""


class _AnswerSubject(weakref.ref[Any]):
    """One of the objects that an answer is about, and the answer's key."""

    __slots__ = ("key",)

    key: AnswerKey


class RememberedAnswers(Generic[T]):
    """A function of objects, its positional arguments, that is asked once while all of them live.

    Texts may be among them; they are compared. Keyword arguments are handed on and not looked at:
    the answer must be the same for all that come with the same objects. An answer must not lead
    back to the objects, or they live for ever. Threads may ask at once; at worst each works an
    answer out for itself.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function: Final = function
        self._answers: Final[dict[AnswerKey, _Kept[T]]] = {}

    def __call__(self, *objects: object, **derived: object) -> T:
        """Return the answer. Raises what the function raises, which is not remembered."""
        key = tuple([entry if isinstance(entry, str) else id(entry) for entry in objects])
        kept = self._answers.get(key)
        if kept is not None:
            return kept[1]
        answer = self._function(*objects, **derived)
        subjects = tuple(
            _AnswerSubject(entry, self._forget) for entry in objects if not isinstance(entry, str)
        )
        for subject in subjects:
            subject.key = key
        self._answers[key] = subjects, answer
        return answer

    def __len__(self) -> int:
        """Return how many answers are remembered."""
        return len(self._answers)

    def _forget(self, subject: _AnswerSubject) -> None:
        """Drop an answer whose object is about to go, before its identity is used again."""
        self._answers.pop(subject.key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()


def while_alive(function: Callable[..., T]) -> RememberedAnswers[T]:
    """Remember what a function says of objects, as `RememberedAnswers` does."""
    return RememberedAnswers(function)
