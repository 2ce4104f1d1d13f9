"""How codes, identifiers and names are normalised before they are compared: SQL expressions, no data.

A name is compared by its letters and by its numbers apart: "Filter 20" and "Filter 30" are two items, however alike they look.
"""

NAME_CHARACTERS = 120
"""A name is compared by its beginning: a text of 10,000 characters costs no more than others."""

LEGAL_FORMS = "INC|INCORPORATED|LLC|LTD|LIMITED|CO|COMPANY|CORP|CORPORATION|GMBH|AG|KG|SA|SARL|SAS|SRL|SPA|BV|NV|AB|AS|OY|PLC"
"""Words of a firm's name that say nothing about which firm it is."""


def filled(column: str) -> str:
    """The text without blanks around it; null where nothing is left."""
    return f"nullif(trim(cast({column} AS VARCHAR)), '')"


def letters_and_digits(column: str) -> str:
    """Upper case, no accents, nothing but letters and digits of any script: 'ab-12/ç' -> 'AB12C'."""
    return f"nullif(regexp_replace(upper(strip_accents(nfc_normalize({column}))), '[^\\p{{L}}\\p{{N}}]', '', 'g'), '')"


def code_key(column: str) -> str:
    """A code without signs, case and leading zeros of its numbers: 'itm-007 a', 'ITM7A' -> 'ITM7A'."""
    without_zeros = f"regexp_replace({filled(column)}, '(^|[^0-9])0+([0-9])', '\\1\\2', 'g')"
    return letters_and_digits(without_zeros)


def code_number(column: str) -> str:
    """The longest number in a code, without leading zeros, of three digits or more: 'X-00123/4' -> '123'."""
    numbers = f"regexp_extract_all({column}, '[0-9]+')"
    longest = f"list_reduce({numbers}, lambda a, b: if(length(b) > length(a), b, a))"
    number = f"if(len({numbers}) = 0, NULL, nullif(ltrim({longest}, '0'), ''))"
    return f"if(length({number}) >= 3, {number}, NULL)"


def gtin(column: str) -> str:
    """A GTIN as 14 digits; null unless its check digit is right (GS1 General Specifications, 7.9).

    Leading zeros that a spreadsheet dropped do not matter to the check digit. Numbers for use within one firm (GTIN-13 that
    begin with 2, 02 or 04) say nothing in another system and count as none.
    """
    digits = f"regexp_replace({filled(column)}, '[ -]', '', 'g')"
    padded = f"lpad({digits}, 14, '0')"
    weighted = (
        f"list_sum([cast(substr({padded}, i, 1) AS INTEGER) * if(i % 2 = 1, 3, 1) for i in range(1, 14)])"
    )
    right = f"(10 - {weighted} % 10) % 10 = cast(substr({padded}, 14, 1) AS INTEGER)"
    is_number = f"regexp_full_match({digits}, '[0-9]{{7,14}}') AND ltrim({digits}, '0') <> ''"
    is_private = f"(substr({padded}, 1, 2) IN ('02') OR substr({padded}, 1, 3) IN ('002', '004'))"
    return f"CASE WHEN {is_number} THEN CASE WHEN {right} AND NOT {is_private} THEN {padded} END END"


def tax_id(column: str, country: str) -> str:
    """A tax number without signs and without its country in front; five characters or more."""
    plain = letters_and_digits(filled(column))
    rest = (
        f"if(starts_with({plain}, upper({country})), substr({plain}, length({country}) + 1),"
        f" regexp_replace({plain}, '^[A-Z]{{2}}([0-9])', '\\1'))"
    )
    return f"if(length({plain}) >= 5, nullif(coalesce({rest}, {plain}), ''), NULL)"


def name_key(column: str) -> str:
    """A name in upper case, no accents, words apart by one blank, without legal forms, cut to its beginning."""
    short = f"left({filled(column)}, {NAME_CHARACTERS})"
    words = f"regexp_replace(upper(strip_accents(nfc_normalize({short}))), '[^\\p{{L}}\\p{{N}}]+', ' ', 'g')"
    return f"nullif(trim(regexp_replace({words}, '\\b({LEGAL_FORMS})\\b', '', 'g')), '')"


def name_letters(key: str) -> str:
    """The letters of a name."""
    return f"nullif(regexp_replace({key}, '[\\p{{N}} ]', '', 'g'), '')"


def name_numbers(key: str) -> str:
    """The numbers of a name, in order, without leading zeros: 'PIPE 1 2 NO 007' -> '1 2 7'."""
    return f"array_to_string([ltrim(n, '0') for n in regexp_extract_all({key}, '[0-9]+')], ' ')"


def names_agree(left: str, right: str) -> str:
    """Whether two records' names may be the same; null where one has none. A misspelling agrees, another number does not."""
    both = f"({left}.name_key IS NULL OR {right}.name_key IS NULL)"
    alike = f"jaro_winkler_similarity(coalesce({left}.name_letters, ''), coalesce({right}.name_letters, '')) >= 0.85"
    same = f"{left}.name_key = {right}.name_key"
    return f"if({both}, NULL, {same} OR ({left}.name_numbers = {right}.name_numbers AND {alike}))"
