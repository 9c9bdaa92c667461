"""What each column of a label table holds: by the recipe, or by the names that tables use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from core.data.tables import column_names as names
from core.data.tables.column_names import folded, missing_column
from core.data.tables.text_table import TextTable
from core.findings import did_you_mean
from core.recipe import ColumnSettings

_WITH_A_ROLE = (
    *(names.IMAGE, names.PATIENT, names.STUDY, names.AGE, names.SEX, names.VIEW, names.FOLLOW_UP),
    *(names.BIRTH_DATE, names.STUDY_DATE),
)


@dataclass(frozen=True)
class TableRoles:
    """Positions of a table's columns by what they hold.

    Attributes:
        own: role -> the position of the column that the recipe names for it.
    """

    table: TextTable
    own: dict[str, int]

    @classmethod
    def of(cls, table: TextTable, columns: ColumnSettings) -> TableRoles:
        """The table's, where the recipe names some.

        Raises:
            DataError: the table lacks one that the recipe names.
        """
        return cls(table, _named_columns(table, columns))

    @cached_property
    def _position_of(self) -> dict[str, int]:
        """Folded column name -> its position; of equal names the first."""
        return {folded(name): i for i, name in reversed(list(enumerate(self.table.header)))}

    def first(self, known: Iterable[str]) -> int | None:
        """The position of the first of these names that the table has."""
        return next((self._position_of[name] for name in known if name in self._position_of), None)

    def of_role(self, role: str, known: Iterable[str]) -> int | None:
        """The column that the recipe names for the role, or else one of the known names."""
        return self.own.get(role, self.first(known))

    def cells(self, known: Iterable[str]) -> Sequence[str] | None:
        """The cells of the first of these columns."""
        position = self.first(known)
        return None if position is None else self.table.columns[position]

    @property
    def patient(self) -> int | None:
        """The column that names the patients."""
        return self.of_role("patient", names.PATIENT)

    @property
    def study(self) -> int | None:
        """The column that names the studies."""
        return self.of_role("study", names.STUDY)

    def image(self, *, from_header: bool) -> int | None:
        """The column of the images' names, or of what their headers name them or their study by."""
        usual = self.first(names.IMAGE)
        if not from_header or "image" in self.own:
            return self.own.get("image", usual)
        identifiers = self.own.get("study", self.first(names.IDENTIFIER))
        return usual if identifiers is None else identifiers

    @property
    def no_findings(self) -> frozenset[int]:
        """The columns that are known to be something else than a finding."""
        known = (name for group in _WITH_A_ROLE for name in group)
        return frozenset(self.own.values()) | {
            self._position_of[name] for name in known if name in self._position_of
        }


def _named_columns(table: TextTable, columns: ColumnSettings) -> dict[str, int]:
    """The positions of the columns that the recipe names."""
    position_of: dict[str, int] = {}
    for role in ("image", "patient", "study", "view", "age", "sex"):
        name = getattr(columns, role)
        if name is None:
            continue
        if name not in table.header:
            raise missing_column(
                table,
                f"{name!r}, which dataset.columns.{role} names",
                did_you_mean(name, table.header),
            )
        position_of[role] = table.header.index(name)
    return position_of
