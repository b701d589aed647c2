"""Text for a terminal: that of others, and numbers of things."""


def printable(text: str) -> str:
    r"""Return a text in which nothing can steer a terminal, break the line or fail to be encoded.

    >>> print(printable("PAY\n\x1b[2J"), printable("\ud800"), printable("Gebühr"))
    PAY\n\x1b[2J \ud800 Gebühr
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def counted(number: int, noun: str) -> str:
    """Return so many things.

    >>> counted(1, "edge"), counted(2_000, "edge")
    ('1 edge', '2,000 edges')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
