"""Messages as JSON, whatever text is in them.

Python's strings may hold lone surrogates, which no UTF-8 stands for and which many readers of JSON refuse: they become
their escapes, `\\ud800` in plain letters, as Python itself writes them on standard error.
"""

import codecs
import json

from jupyter_client.jsonutil import json_clean, json_default
from jupyter_client.session import Session

_pack = Session.pack.default_value


def pack(content):
    """A message's part as JSON.

    Raises what the JSON encoder raises for data that is not of JSON.
    """
    try:
        packed = _pack(content)
        # The library lets some surrogates through as bytes that are no UTF-8.
        packed.decode()
        return packed
    except Exception:
        text = json.dumps(json_clean(content), default=json_default, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "escape_in_json")


def encode(text):
    """Text as UTF-8 for a descriptor."""
    return text.encode("utf-8", "backslashreplace")


def _escape_in_json(error):
    replaced = error.object[error.start : error.end]
    return "".join(f"\\\\u{ord(character):04x}" for character in replaced), error.end


codecs.register_error("escape_in_json", _escape_in_json)
