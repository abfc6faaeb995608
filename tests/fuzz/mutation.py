"""Strategies: octets near a seed, and octets that repeat one thing very often."""

from __future__ import annotations

from hypothesis import strategies as st

TOKENS = (
    *(bytes([octet]) for octet in (0, 1, 2, 0x7F, 0x80, 0xFF)),
    *(b'"', b"{", b"}", b"[", b"]", b":", b",", b"=", b";", b".", b"/", b"@", b"#", b"%2f", b"\\", b"\n", b"\r\n"),
    *(b"NaN", b"Infinity", b"1e999", b"-1", b"9" * 30, b"null", b"true", b"[]", b"{}", b'"\\ud800"'),
    *(b"https://", b"[::1]", b"localhost", b":0", b":65536", "\u212a".encode(), b"\xed\xa0\x80", b"\xe2\x80\xae"),
)
"""What parsers trip over: octets at the ends of ranges, marks of every grammar in play, numbers out of range."""

_edit = st.tuples(
    st.sampled_from(("put", "insert", "cut", "repeat")),
    st.floats(0, 1),
    st.one_of(st.sampled_from(TOKENS), st.binary(min_size=1, max_size=6)),
    st.integers(1, 40),
)


def damage(data: bytes, edit: tuple[str, float, bytes, int]) -> bytes:
    kind, place, token, count = edit
    at = int(place * len(data))
    if kind == "put":
        return data[:at] + token + data[at + len(token) :]
    if kind == "insert":
        return data[:at] + token + data[at:]
    if kind == "cut":
        return data[:at] + data[at + count :]
    return data[:at] + data[at : at + count] * 3 + data[at + count :]


def near(seeds: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """A seed after none to eight edits, or any octets at all."""

    def edited(pair: tuple[bytes, list[tuple[str, float, bytes, int]]]) -> bytes:
        data, edits = pair
        for edit in edits:
            data = damage(data, edit)
        return data

    return st.one_of(
        st.tuples(st.sampled_from(seeds), st.lists(_edit, max_size=8)).map(edited),
        st.binary(max_size=400),
    )


FLOODS = tuple(
    dict.fromkeys(
        (
            *TOKENS,
            *(
                b"a",
                b"9",
                b"-",
                b" ",
                b"\t",
                b"A=",
                b"a,",
                b"a=b;",
                b"<script>",
                b"<",
                b"%",
                b"(",
                b"xn--",
                b"\x08\x80",
            ),
            *(b'{"a":', b'["', b"\x0a\x00", b"x: y\n", b"-----BEGIN EC PRIVATE KEY-----\n"),
        )
    )
)
"""Each is repeated up to the size of the largest thing that is read, and far past it."""

NESTING = (b"[", b"[],", b'{"a":', b"a=b;", b"\x0a\x00", b"x: y\n", b"<", b"\xff")
"""Of these, what is made into the most objects for each octet; measuring memory slows everything down."""
