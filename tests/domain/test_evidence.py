import pytest

from service.domain.evidence import PAGE_LENGTH, USER_AGENT_LENGTH, has_control, make_evidence


@pytest.mark.parametrize(
    ("page", "kept"),
    [
        (f"https://[v1.{'a' * 600}]/", None),
        ("https://fjell.no/hub", "https://fjell.no/hub"),
        ("https://fjell.no/hub?customer=42#top", "https://fjell.no/hub"),
        ("https://me:secret@fjell.no:444/x", "https://fjell.no:444/x"),
        ("javascript:alert(1)", None),
        ("https://", None),
        ("http://[::1", None),
        ("/hub", None),
        ("https://fjell.no/\r\nX: y", None),
        ("", None),
        (None, None),
        ("https://fjell.no/" + "x" * 900, ("https://fjell.no/" + "x" * 900)[:PAGE_LENGTH]),
    ],
)
def test_page_is_kept_without_what_could_identify(page, kept):
    assert make_evidence(None, None, page).page_url == kept


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Mozilla/5.0", "Mozilla/5.0"),
        ("a\x00b\r\n\u2028", "a?b???"),
        ("x" * 900, "x" * USER_AGENT_LENGTH),
        ("", None),
        (None, None),
    ],
)
def test_user_agent_is_trimmed_and_printable(sent, kept):
    assert make_evidence("203.0.113.7", sent, None).user_agent == kept


@pytest.mark.parametrize(
    "character",
    [
        "\r",
        "\n",
        "\x00",
        "\t",
        "\x0b",
        "\x1c",
        "\x7f",
        "\x85",
        "\x9f",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\ud800",
    ],
)
def test_control_characters(character):
    """A-16: everything that a header parser or str.splitlines takes for an end of line, and what cannot be stored."""
    assert has_control(f"An{character}na")


@pytest.mark.parametrize(
    "text", ["", "Anna", "Jürgen Müller-Lüdenscheidt", "安娜", "O’Brien", "👟", "ze\u0301ro", "a\u200db"]
)
def test_names_of_people_are_not_control(text):
    assert not has_control(text)
