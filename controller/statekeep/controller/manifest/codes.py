"""The codes of everything that can be wrong with a manifest before its statechart is looked at."""

from enum import StrEnum


class Code(StrEnum):
    """What tools match on; stable and kebab-case."""

    YAML_SYNTAX = "yaml-syntax"
    """The text is not YAML (nor JSON); the message carries the parser's reason."""

    YAML_CHARACTER = "yaml-character"
    """The text holds a character that YAML forbids, such as NUL or another control character."""

    YAML_TOO_LARGE = "yaml-too-large"
    """The text, or what its aliases expand to, is larger than the limit."""

    YAML_TOO_DEEP = "yaml-too-deep"
    """Mappings and sequences are nested deeper than the limit."""

    YAML_ALIAS = "yaml-alias"
    """An alias names no anchor, or the very value that it stands in."""

    YAML_MERGE = "yaml-merge"
    """A merge key (``<<``) is given something other than mappings."""

    YAML_TAG = "yaml-tag"
    """A tag asks for something that JSON does not have, or that the value is not."""

    YAML_DUPLICATE_KEY = "yaml-duplicate-key"
    """One mapping has one key twice."""

    YAML_KEY = "yaml-key"
    """A key is neither text nor an integer."""

    YAML_AMBIGUOUS = "yaml-ambiguous"
    """A value without quotes is read in different ways by different tools, kubectl among them."""

    NUMBER_RANGE = "number-range"
    """An integer beyond 2^53: not every reader of JSON keeps its last digits."""

    NUMBER_NOT_FINITE = "number-not-finite"
    """Infinity or NaN: JSON has neither."""

    TEXT_CHARACTER = "text-character"
    """A string holds NUL or half of a surrogate pair, which no database keeps."""

    FIELD_UNKNOWN = "field-unknown"
    """A field that a ``MachineVersion`` does not have, often a slip of the pen."""

    FIELD_MISSING = "field-missing"
    """A field that every ``MachineVersion`` has is absent."""

    FIELD_TYPE = "field-type"
    """A field holds another type of value, such as a number for a string."""

    FIELD_VALUE = "field-value"
    """A field holds a value that is not among the choices."""

    FIELD_LENGTH = "field-length"
    """A string or list is longer, or shorter, than it may be."""

    NAME_INVALID = "name-invalid"
    """A name is not one that Kubernetes accepts (RFC 1123)."""

    PATH_WITHOUT_PARENT = "path-without-parent"
    """A history path without a parent that anybody could come from."""

    PARENT_SELF = "parent-self"
    """A version names itself as its parent."""

    API_VERSION = "api-version"
    """An ``apiVersion`` or ``kind`` of our group that this release does not know."""

    FILE_UNREADABLE = "file-unreadable"
    """The file, or the folder, could not be read."""

    FILE_ENCODING = "file-encoding"
    """The file is not UTF-8."""

    NAME_TWICE = "name-twice"
    """Two documents have one namespace and name; neither is used."""

    PARENT_CIRCLE = "parent-circle"
    """The parents go in a circle, so none of them can ever be applied."""

    SECOND_ROOT = "second-root"
    """A machine has a root already: a family has one."""

    MACHINE_DIFFERS = "machine-differs"
    """A version and its parent name different machines."""

    POLICY_TOO_LATE = "policy-too-late"
    """``spec.migration`` was edited after the version was applied, which has no effect any more."""

    NOT_A_MACHINE = "not-a-machine"
    """A file that was named holds neither a manifest nor a machine."""
