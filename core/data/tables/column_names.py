"""What people call the columns of a label table, folded; the preferred name first.

English as in the public collections, then the words of German, Spanish and French hospitals.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.data.tables.text_table import TextTable
from core.errors import DataError

_IMAGE_INDEX = ("imageindex", "imagename", "imagefile", "imageid", "image")
IMAGE = (
    *(
        *_IMAGE_INDEX,
        "filename",
        "file",
        "imagepath",
        "filepath",
        "path",
        "sopinstanceuid",
        "sopuid",
    ),
    *("bilddatei", "bildname", "bild", "dateiname", "datei"),
    *("imagen", "archivo", "fichero", "nombrearchivo", "fichier"),
)
PATIENT = (
    *("patientid", "patient", "patientnumber", "subjectid", "subject", "patientno", "patid", "mrn"),
    *("patientenid", "patientennummer", "patientennr", "patientnr", "patnr"),
    *("idpaciente", "paciente", "pacienteid", "nhc", "historiaclínica", "historiaclinica"),
)
STUDY = (
    *("studyid", "study", "studyinstanceuid", "studyuid"),
    *("accessionnumber", "accession", "accessionno", "accessionid", "examid", "examnumber"),
    *("untersuchungsnummer", "untersuchungsnr", "anforderungsnummer", "auftragsnummer"),
    *("númerodeacceso", "numerodeacceso", "numérodaccès", "numérodexamen"),
)
IDENTIFIER = ("sopinstanceuid", "sopuid", "imageuid", "seriesinstanceuid", "seriesuid", *STUDY)
"""What DICOM headers name an image, its series or its study by; the narrowest first."""
WORDS = ("findinglabels", "findinglabel")
AGE = ("patientage", "age", "ageyears", "patientenalter", "alter", "edad", "âge")
BIRTH_DATE = (
    *("birthdate", "dateofbirth", "dob", "patientbirthdate", "patientdob", "birthday"),
    *("geburtsdatum", "fechadenacimiento", "fechanacimiento", "datedenaissance"),
)
STUDY_DATE = (
    *("studydate", "examdate", "dateofstudy", "dateofexam", "studydatetime", "acquisitiondate"),
    *("untersuchungsdatum", "aufnahmedatum", "fechadeestudio", "fechaestudio", "datedexamen"),
    *("date", "datum", "fecha"),
)
SEX = ("patientgender", "patientsex", "gender", "sex", "geschlecht", "sexo", "sexe")
VIEW = (
    *("viewposition", "view", "projection"),
    *("projektion", "strahlengang", "proyección", "proyeccion", "incidence"),
)
FOLLOW_UP = ("followup", "followupnumber")


def folded(name: str) -> str:
    """A column's or label's name without case, blanks and punctuation, for comparison."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def missing_column(
    table: TextTable, what: str, remedy: str = "", changes: Sequence[str] = ()
) -> DataError:
    """The error for a column that a table lacks; it lists the columns found."""
    found = ", ".join(repr(name) for name in table.header[:30])
    return DataError(
        f"no column {what}; found {found}",
        where=table.path,
        remedy=remedy or "Rename the column that holds it, or name another table.",
        changes=changes,
    )
