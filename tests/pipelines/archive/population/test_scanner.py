import pytest

from spokestream.pipelines.archive.population.scanner import scanner_of

HEADER = '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><acquisitionSystemInformation>{}</acquisitionSystemInformation></ismrmrdHeader>'


@pytest.mark.parametrize(
    ("inside", "scanner"),
    [
        (
            "<systemVendor>SIEMENS</systemVendor><systemModel>Prisma</systemModel>"
            "<systemFieldStrength_T>2.893620</systemFieldStrength_T><institutionName>Inselspital</institutionName>",
            "SIEMENS Prisma, 2.89 T, Inselspital",
        ),
        ("<systemModel> Aera </systemModel><systemFieldStrength_T>1.5</systemFieldStrength_T>", "Aera, 1.5 T"),
        ("<systemFieldStrength_T>strong</systemFieldStrength_T>", "unknown scanner"),
        ("", "unknown scanner"),
    ],
)
def test_the_scanner_is_named_as_far_as_the_header_names_it(inside, scanner):
    assert scanner_of(HEADER.format(inside)) == scanner


def test_a_header_without_a_scanner_is_of_an_unknown_one():
    assert scanner_of("<ismrmrdHeader/>") == scanner_of("no XML") == "unknown scanner"
