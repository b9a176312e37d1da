"""What a Content-Type says of a body, in requests and in answers alike."""

from email.message import Message

JSON = "application/json"
NO_CHARSETS = frozenset({"idna", "punycode"})  # For host names: a minute of work for 20 000 characters.


def read_type(content_type: str) -> tuple[str, str]:
    """Media type and charset of a Content-Type, in lower case; UTF-8 where it names none."""
    message = Message()
    message["Content-Type"] = content_type
    return message.get_content_type(), message.get_content_charset("utf-8")


def is_json(media_type: str) -> bool:
    """Whether a media type says JSON (RFC 6839, section 3.1)."""
    return media_type == JSON or media_type.endswith("+json")
