"""Protocol Buffers' wire format, as far as ONNX files need it: no schema, no dependency."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class CutShort(ValueError):
    """The message ends in the middle of a field, or is no message."""


def fields(data):
    """Yield (number, wire type, value, begin, end) of each field of a memoryview.

    A value is an int of a varint, else a memoryview; ``data[begin:end]`` is the field with its tag.
    """
    position, length = 0, len(data)
    while position < length:
        begin = position
        tag, position = read_varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, position = read_varint(data, position)
        elif kind in (FIXED64, FIXED32):
            end = position + (8 if kind == FIXED64 else 4)
            value, position = data[position:end], end
        elif kind == BYTES:
            size, position = read_varint(data, position)
            value, position = data[position : position + size], position + size
        else:
            raise CutShort("wire type {} at byte {}".format(kind, begin))
        if position > length or number == 0:
            raise CutShort("field {} at byte {} runs past the end".format(number, begin))
        yield number, kind, value, begin, position


def read_varint(data, position):
    """Return (value, next position)."""
    value, shift = 0, 0
    while True:
        if position >= len(data) or shift > 63:
            raise CutShort("a number ends at byte {}".format(position))
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7


def signed(value):
    """Return a varint as the int64 that it encodes."""
    return value - (1 << 64) if value >= 1 << 63 else value


def varint(value):
    """Encode an integer, negative ones as int64."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number_field(number, value):
    """Encode a varint field."""
    return varint(number << 3 | VARINT) + varint(value)


def bytes_field(number, payload):
    """Encode a length-delimited field: bytes, a string or a message."""
    if isinstance(payload, str):
        payload = payload.encode()
    return varint(number << 3 | BYTES) + varint(len(payload)) + bytes(payload)
