"""View, age, sex and patient from DICOM headers."""

from __future__ import annotations

from pathlib import Path

import pytest
from dicoms import chest, dicom, item, write_dicom
from pydicom.uid import DeflatedExplicitVRLittleEndian

from core.data.images.decode import UndecodableImage
from core.data.images.dicom_header import DicomHeader, read_dicom_header, tell_patients

HEADERS = Path(__file__).parent / "dicom_files" / "header"


def header_of(**elements: object) -> DicomHeader:
    header = read_dicom_header(dicom(chest(), **elements), "a.dcm")
    assert header is not None
    return header


def of_file(name: str) -> DicomHeader:
    header = read_dicom_header(HEADERS / f"{name}.dcm", name)
    assert header is not None
    return header


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("view_ll", "lateral"),
        ("view_lateral", "lateral"),
        ("view_by_orientation", "lateral"),
        ("view_by_description", "AP"),
        ("view_missing", "unknown"),
        ("age_62", "PA"),
    ],
)
def test_the_view_of_the_fixtures(name: str, view: str) -> None:
    assert of_file(name).view == view


@pytest.mark.parametrize(
    ("name", "age_years"),
    [
        ("age_018M", 1.5),
        ("age_003W", 21 / 365.25),
        ("age_010D", 10 / 365.25),
        ("age_62", 62),
        ("age_22Y", 22),
        ("age_000Y", None),
        ("age_148", None),
        ("age_by_birth_date", 63),
    ],
)
def test_the_age_of_the_fixtures_by_the_letters_d_w_m_y(name: str, age_years: float | None) -> None:
    assert of_file(name).age_years == (None if age_years is None else pytest.approx(age_years))


def test_sex_and_patient_of_the_fixtures() -> None:
    assert of_file("sex_o").sex == ""
    assert of_file("age_62").sex in ("M", "F")
    assert of_file("no_patient").patient is None
    assert of_file("sex_o").patient == "SYN00041"


@pytest.mark.filterwarnings("ignore:Invalid value for VR")  # of pydicom, which writes them
@pytest.mark.parametrize(
    ("said", "view"),
    [
        ("POSTERO-ANTERIOR", "PA"),
        ("AP AXIAL", "AP"),
        ("AP_horizontal", "AP"),
        ("LARGE LATERAL", "lateral"),
        ("XTABLE LATERAL", "lateral"),
        ("RL", "lateral"),
        ("LAO", "oblique"),
        ("AP LLD", "decubitus"),
        ("COSTAL", "other"),
        ("UNK", "unknown"),
    ],
)
def test_every_spelling_of_a_view_is_one_class(said: str, view: str) -> None:
    assert header_of(ViewPosition=said).view == view


@pytest.mark.parametrize(
    ("elements", "view"),
    [
        ({"ViewCodeSequence": [item(CodeMeaning="postero-anterior")]}, "PA"),
        ({"ViewPosition": "AP", "PatientOrientation": ["A", "F"]}, "AP"),
        ({"PatientOrientation": ["L", "F"]}, "frontal"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "W Chest PA"}, "PA"),
        ({"PatientOrientation": ["L", "F"], "SeriesDescription": "W Chest LAT"}, "frontal"),
        ({"SeriesDescription": "W Chest LAT"}, "lateral"),
        ({"ProtocolName": "Chest PA and LAT"}, "unknown"),
        ({"SeriesDescription": "Chest PA", "ProtocolName": "Chest AP"}, "unknown"),
        ({"SeriesDescription": "L. Papadopoulos"}, "unknown"),
    ],
)
def test_what_says_the_view_first_counts_and_what_contradicts_itself_says_nothing(
    elements: dict[str, object], view: str
) -> None:
    assert header_of(**elements).view == view


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_an_age_that_is_none_gives_way_to_the_dates() -> None:
    dates = {"PatientBirthDate": "20231201", "StudyDate": "20240102"}
    assert header_of(PatientAge="000Y", **dates).age_years == pytest.approx(32 / 365.25)
    assert header_of(PatientAge="000D", **dates).age_years == 0
    reversed_dates = {"PatientBirthDate": "20240102", "StudyDate": "20231201"}
    assert header_of(**reversed_dates).age_years is None
    assert header_of(PatientBirthDate="18000101", StudyDate="20240102").age_years is None
    assert header_of(PatientBirthDate="20241399", StudyDate="20240102").age_years is None


def test_a_patient_is_trimmed_and_belongs_to_its_issuer() -> None:
    assert header_of(PatientID=" 7 ").patient == "7"
    assert header_of(PatientID="7", IssuerOfPatientID="North").patient == "7^^^North"
    assert header_of(PatientID="  ").patient is None


def test_one_word_in_every_file_is_no_patient() -> None:
    assert tell_patients(["1", "2", "2"])
    assert not tell_patients(["ANONYMOUS"] * 3)
    assert not tell_patients(["1", None])


def test_only_headers_are_read_and_other_files_have_none(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a", chest(), PatientAge="047Y", BurnedInAnnotation="YES")
    without_pixels = path.read_bytes()[: -chest().nbytes]
    assert read_dicom_header(without_pixels, "a") == read_dicom_header(path, "a")
    header = read_dicom_header(path, "a")
    assert header == DicomHeader("unknown", 47, "", None, True, ("2.25.1", "", "", ""))
    (tmp_path / "b.dcm").write_bytes(b"<html>")
    assert read_dicom_header(tmp_path / "b.dcm", "b.dcm") is None


def test_a_deflated_header_is_read_and_a_report_has_none_of_a_picture() -> None:
    assert header_of(PatientAge="047Y", syntax=DeflatedExplicitVRLittleEndian).age_years == 47
    with pytest.raises(UndecodableImage, match="no picture: a structured report"):
        header_of(Modality="SR")


def test_a_damaged_header_is_refused_without_its_content() -> None:
    content = dicom(chest(), PatientAge="047Y", PatientName="Doe^Jane")
    damaged = content.replace(b"AS\x04\x00047Y", b"ZZ\x04\x00047Y")
    with pytest.raises(UndecodableImage) as caught:
        read_dicom_header(damaged, "a.dcm")
    assert caught.value.reason == "damaged header (NotImplementedError)"
