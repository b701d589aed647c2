STYLE_HASH = "sha256-x"


def render(document):
    return ""
