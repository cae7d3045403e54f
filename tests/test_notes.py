"""Notes, checkpoints, proofs, policies and tiles: the foreign ones are read, the bent ones are not."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import FormatError, NotVerified
from ledger.log.checkpoint import NoteSigner, cosign, log_signer, sign_checkpoint, witness_signer
from ledger.log.tiles import (
    Tile,
    entry_bundle,
    parse_entry_bundle,
    parse_path,
    tile,
    tiles_of,
    width_at,
)
from ledger.log.tree import Frontier
from ledger.verify import (
    Checkpoint,
    Note,
    NoteSignature,
    Proof,
    VerifierKey,
    check_signatures,
    format_checkpoint,
    format_note,
    format_proof,
    format_vkey,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    parse_policy,
    parse_proof,
    parse_vkey,
    root_of,
    signed_bytes,
    strict_ed25519,
)
from tests.small_ledger import ML_DSA, ORIGIN, keyed

VECTORS = Path(__file__).parent / "vectors"
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
HEAD = Checkpoint(ORIGIN, 7, sha256(b"root").digest())


def witness(name: str, *, pq: bool = False) -> NoteSigner:
    """A witness of this name."""
    if pq:
        return witness_signer(name, "ml_dsa_44", ML_DSA.public_key().public_bytes_raw(), ML_DSA.sign)
    key = keyed(name)
    return witness_signer(name, "ed25519", key.public, key.sign)


def log() -> NoteSigner:
    """The log's Ed25519 key."""
    key = keyed("log")
    return log_signer(ORIGIN, "ed25519", key.public, key.sign)


def test_the_note_of_the_go_tests_verifies() -> None:
    """A note and key made by golang.org/x/mod open here, byte for byte."""
    data = (VECTORS / "go_note.txt").read_bytes()
    note, key = parse_note(data), parse_vkey(PETER)
    (line,) = note.signatures

    assert format_note(note) == data
    assert format_vkey(key) == PETER
    assert line.key_id == key.key_id
    assert strict_ed25519(key.public_key, note.text.encode(), line.blob)


def test_the_keys_that_the_go_tests_refuse_are_refused() -> None:
    """Every part of a key, every byte of it changed, and a wrong length or algorithm, is no key."""
    bad = [PETER[a:b] for a in range(len(PETER)) for b in range(a + 1, len(PETER) + 1) if (a, b) != (0, len(PETER))]
    bad += [PETER[:a] + chr(ord(PETER[a]) + 1) + PETER[a + 1 :] for a in range(len(PETER))]
    bad += [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ]
    for text in bad:
        with pytest.raises(FormatError):
            parse_vkey(text)


def test_checkpoints_of_the_go_checksum_database_verify() -> None:
    """An origin with spaces, signed under another name, is a checkpoint like any other."""
    found = json.loads((VECTORS / "go_sumdb_checkpoints.json").read_text(encoding="utf-8"))
    key = parse_vkey(found["vkey"])
    sizes = []
    for text in found["checkpoints"]:
        note = parse_note(text.encode())
        head = parse_checkpoint(note.text)
        assert format_checkpoint(head) == note.text
        assert [line.key for line in check_signatures(note, head, [key], strict_ed25519)] == [key]
        larger = Checkpoint(head.origin, head.size + 1, head.root)
        with pytest.raises(NotVerified):
            check_signatures(note, larger, [key], strict_ed25519)
        sizes.append(head.size)

    assert sizes == [15081221, 63096908]


def test_what_each_form_signs_is_what_the_specification_shows() -> None:
    """The text; the text after a time; the structure of 114 bytes for names of 44 in all."""
    key = bytes(32)
    text = format_checkpoint(HEAD).encode()
    name = "w" * (44 - len(ORIGIN))
    binary = signed_bytes(VerifierKey(name, 6, bytes(1312)), HEAD, 1679315147)

    assert signed_bytes(VerifierKey("n", 1, key), HEAD, 5) == text
    assert signed_bytes(VerifierKey("n", 4, key), HEAD, 1679315147) == b"cosignature/v1\ntime 1679315147\n" + text
    assert len(binary) == 114
    assert binary == (
        b"subtree/v1\n\0"
        + bytes([len(name)])
        + name.encode()
        + (1679315147).to_bytes(8, "big")
        + bytes([len(ORIGIN)])
        + ORIGIN.encode()
        + bytes(8)
        + (7).to_bytes(8, "big")
        + HEAD.root
    )


def test_a_checkpoint_carries_both_signatures_of_the_log_and_those_of_witnesses() -> None:
    """What is signed here is verified there: all four forms, with their times."""
    pq = log_signer(ORIGIN, "ml_dsa_44", ML_DSA.public_key().public_bytes_raw(), ML_DSA.sign)
    signers = [log(), pq, witness("w1.example"), witness("w2.example", pq=True)]
    note = sign_checkpoint(HEAD, signers[:2], at=1000)
    for signer in signers[2:]:
        note = cosign(note, signer, at=2000)

    read = parse_note(note)
    signed = check_signatures(read, parse_checkpoint(read.text), [one.key for one in signers], strict_ed25519)

    assert [(line.key, line.at, line.checked) for line in signed] == [
        (signer.key, at, True) for signer, at in zip(signers, (0, 1000, 2000, 2000), strict=True)
    ]
    assert len({signer.key.key_id for signer in signers}) == 4


def test_a_wrong_line_of_a_known_key_spoils_the_note_and_one_of_an_unknown_key_does_not() -> None:
    """Each byte of each known signature counts; sixteen lines by strangers do not."""
    pq = log_signer(ORIGIN, "ml_dsa_44", ML_DSA.public_key().public_bytes_raw(), ML_DSA.sign)
    signers = [log(), pq, witness("w1.example")]
    note = parse_note(sign_checkpoint(HEAD, signers, at=1000))
    keys = [signer.key for signer in signers]
    strangers = tuple(NoteSignature(f"stranger{n}.example", bytes(4), bytes(64)) for n in range(16))

    assert len(check_signatures(Note(note.text, strangers + note.signatures), HEAD, keys, strict_ed25519)) == 3
    for number, line in enumerate(note.signatures):
        for at in {0, 7, 8, 40, len(line.blob) - 1}:
            bad = bytearray(line.blob)
            bad[at] ^= 1
            damaged = [*note.signatures]
            damaged[number] = NoteSignature(line.name, line.key_id, bytes(bad))
            with pytest.raises(NotVerified, match="does not hold"):
                check_signatures(Note(note.text, tuple(damaged)), HEAD, keys, strict_ed25519)
        damaged[number] = NoteSignature(line.name, line.key_id, line.blob + b"\0")
        with pytest.raises(NotVerified):
            check_signatures(Note(note.text, tuple(damaged)), HEAD, keys, strict_ed25519)


def test_a_name_or_an_id_alone_is_not_the_key() -> None:
    """A line must match name and id; with one of them it is a stranger's."""
    key = log().key
    lines = (NoteSignature("other.example", key.key_id, bytes(64)), NoteSignature(key.name, bytes(4), bytes(64)))

    assert check_signatures(Note(format_checkpoint(HEAD), lines), HEAD, [key], strict_ed25519) == []


LINE = f"— a.example {b64encode(bytes(68)).decode()}\n"


@pytest.mark.parametrize(
    ("what", "note"),
    [
        ("no blank line", "text\n" + LINE),
        ("no signature", "text\n\n"),
        ("no text", "\n" + LINE),
        ("no final newline", "text\n\n" + LINE[:-1]),
        ("a control character", "te\tt\n\n" + LINE),
        ("a carriage return", "text\r\n\n" + LINE),
        ("a hyphen for the dash", "text\n\n" + LINE.replace("—", "-")),
        ("two spaces", "text\n\n" + LINE.replace("— ", "—  ")),
        ("more after the signature", "text\n\n" + LINE.replace("\n", " x\n")),
        ("a name with a plus sign", "text\n\n" + LINE.replace("a.e", "a+e")),
        ("a name with a space", "text\n\n" + LINE.replace("a.e", "a\u2003e")),
        ("no name", "text\n\n" + LINE.replace("a.example", "")),
        ("base64 without its padding", "text\n\n" + LINE.replace("=", "")),
        ("base64 with stray bits", "text\n\n" + LINE.replace("A=\n", "B=\n")),
        ("a key id alone", "text\n\n— a.example AAAAAA==\n"),
        ("a blank line among the signatures", "text\n\n" + LINE + "\n" + "x\n"),
        ("129 signatures", "text\n\n" + LINE * 129),
        ("more than 512 KiB", "x" * 2**19 + "\n\n" + LINE),
    ],
)
def test_what_is_not_a_note_is_refused(what: str, note: str) -> None:
    """Each of these is read by some implementation; here none is."""
    with pytest.raises(FormatError):
        parse_note(note.encode())


def test_text_may_hold_blank_lines_and_16_signatures_are_read() -> None:
    """The last blank line divides; at least sixteen signatures must be accepted."""
    note = parse_note(("a\n\nb\n\n" + LINE * 16).encode())

    assert note.text == "a\n\nb\n"
    assert len(note.signatures) == 16


ROOT = b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        f"o\n1\n{ROOT}",
        f"o\n1\n{ROOT}\nextension\n",
        f"\n1\n{ROOT}\n",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n1_0\n{ROOT}\n",
        f"o\n\u0661\n{ROOT}\n",
        f"o\n{2**63}\n{ROOT}\n",
        f"o\n\n{ROOT}\n",
        f"o\n1\n{b64encode(bytes(31)).decode()}\n",
        f"o\n1\n{ROOT[:-2]}B=\n",
        f"o\n1\n {ROOT}\n",
        "o\n1\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text: str) -> None:
    """Three lines, a decimal, a root: extension lines, which one form does not sign, are none."""
    with pytest.raises(FormatError):
        parse_checkpoint(text)


@given(st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_checkpoints_and_proofs_read_back(size: int, root: bytes) -> None:
    """Format, then parse, gives the same; parse, then format, the same bytes."""
    head = Checkpoint("go.sum database tree", size, root)
    proof = Proof(size, (root, root), b"note\n", None if size % 2 else root)

    assert parse_checkpoint(format_checkpoint(head)) == head
    assert parse_proof(format_proof(proof)) == proof
    assert format_proof(parse_proof(format_proof(proof))) == format_proof(proof)


PROOF = f"c2sp.org/tlog-proof@v1\nindex 3\n{ROOT}\n\no\n4\n{ROOT}\n\n{LINE}"


def test_a_proof_holds_the_checkpoint_verbatim() -> None:
    """What stands after the first blank line is the note, untouched."""
    proof = parse_proof(PROOF.encode())

    assert proof == Proof(3, (bytes(32),), f"o\n4\n{ROOT}\n\n{LINE}".encode())
    assert parse_proof(PROOF.replace("index", "extra YQ==\nindex", 1).encode()).extra == b"a"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("index 3", "index 03"),
        ("index 3", "index  3"),
        ("index 3\n", ""),
        ("index", "extra !\nindex"),
        (ROOT + "\n\no", ROOT[:-1] + "\n\no"),
        (ROOT + "\n\no", (ROOT + "\n") * 64 + "\no"),
        ("index 3\n" + ROOT, "index 3\n" + b64encode(bytes(33)).decode()),
        ("\n\n", "\n"),
        ("index", "ïndex"),
    ],
)
def test_what_is_not_a_proof_is_refused(old: str, new: str) -> None:
    """A header, an index, at most 63 hashes of 32 bytes, a blank line."""
    with pytest.raises(FormatError):
        parse_proof(PROOF.replace(old, new).encode())


# --- policies ---


def policy(*lines: str) -> bytes:
    """A policy with witnesses a to d, the given lines, and blanks and comments for luck."""
    witnesses = [f"witness {name} {witness(f'{name}.example').vkey}" for name in "abcd"]
    return "\n".join(["# a comment", "", f"log\t{log().vkey} https://log.example", *witnesses, *lines]).encode() + b"\n"


def test_nested_groups_make_a_quorum() -> None:
    """Both parties' witnesses and one of the others: what the groups say is what counts."""
    read = parse_policy(policy("group parties all a b", "group others 1 c d", "group q all parties others", "quorum q"))
    keys = {name: witness(f"{name}.example").key for name in "abcd"}

    assert [key.name for key in read.logs] == [ORIGIN]
    for names, met in {"abc": True, "abd": True, "abcd": True, "ab": False, "acd": False, "": False}.items():
        assert read.met(keys[name] for name in names) is met
    assert read.met([*(keys[name] for name in "ab"), witness("e.example").key]) is False


def test_a_single_witness_and_none_are_quorums() -> None:
    """The quorum may be one witness, or nobody."""
    assert parse_policy(policy("quorum a")).met([witness("a.example").key])
    assert not parse_policy(policy("quorum a")).met([witness("b.example").key])
    assert parse_policy(b"quorum none\n").met([])


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["quorum a", "quorum a"],
        ["quorum e"],
        ["quorum a b"],
        ["group g 1 a", "group h 1 a", "quorum h"],
        ["group g 1 a a", "quorum g"],
        ["group g 0 a", "quorum g"],
        ["group g 2 a", "quorum g"],
        ["group g 01 a", "quorum g"],
        ["group g 1", "quorum g"],
        ["group g 1 h", "group h 1 a", "quorum g"],
        ["group g 1 none", "quorum g"],
        ["group none 1 a", "quorum none"],
        ["group a 1 b", "quorum a"],
        [f"witness a {witness('z.example').vkey}", "quorum a"],
        [f"witness z {witness('a.example').vkey}", "quorum a"],
        [f"witness z {log().vkey}", "quorum a"],
        [f"log {witness('z.example').vkey}", "quorum a"],
        [f"log {log().vkey}", "quorum a"],
        ["mirror x", "quorum a"],
        ["quorum a\r"],
        ["quorum\x0ba"],
    ],
)
def test_what_is_not_a_policy_is_refused(lines: list[str]) -> None:
    """A policy that could be read two ways, or that lets a witness count twice, is none."""
    with pytest.raises(FormatError):
        parse_policy(policy(*lines))


def test_names_in_policies_are_octets() -> None:
    """What is not UTF-8 is a name like any other, and no two octet strings are one name."""
    vkey = witness("a.example").vkey.encode()
    assert parse_policy(b"witness \xe2\x84\xaa " + vkey + b"\nquorum \xe2\x84\xaa").quorum == b"\xe2\x84\xaa"
    with pytest.raises(FormatError):
        parse_policy(b"witness \xe2\x84\xaa " + vkey + b"\nquorum K")


# --- tiles ---


def test_paths_of_tiles_are_those_of_the_specification() -> None:
    """The example of the specification, partial tiles, and entries."""
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(63, 0, 1).path == "tile/63/000.p/1"
    assert Tile(None, 273, 112).path == "tile/entries/273.p/112"


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 2**55 - 1), st.integers(1, 256))
def test_paths_of_tiles_read_back(level: int | None, n: int, width: int) -> None:
    """Each tile has one path."""
    assert parse_path(Tile(level, n, width).path) == Tile(level, n, width)


@pytest.mark.parametrize(
    "bad",
    [
        "tile/0/0", "tile/00/000", "tile/64/000", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01",
        "tile/0/x000/001", "tile/0/001/002", "tile/0/x001", "tile/0/000/", "/tile/0/000", "tile/entries/0001",
        "tile/0/../000", "tile/0/000.p/", "tile/-1/000", "tile/0/٠٠٠", "tile/0/" + "x999/" * 6 + "999",
    ],
)  # fmt: skip
def test_what_is_not_the_path_of_a_tile_is_refused(bad: str) -> None:
    """One form each: no leading zeroes, no full partial tile, nothing that climbs."""
    with pytest.raises(FormatError):
        parse_path(bad)


@given(st.text(max_size=40))
@settings(max_examples=200)
def test_any_text_is_a_path_or_a_format_error(text: str) -> None:
    """Nothing else comes out."""
    with suppress(FormatError):
        assert parse_path("tile/" + text).path == "tile/" + text


def test_a_tree_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    """273 full and one of 112 at level 0; one full and one of 17 at level 1; one of 1 at level 2."""
    tiles = list(tiles_of(70_000))
    widths = [(one.level, one.width) for one in tiles if one.width != 256]

    assert widths == [(0, 112), (1, 17), (2, 1)]
    assert sum(one.width == 256 and one.level == 0 for one in tiles) == 273
    assert sum(one.width == 256 and one.level == 1 for one in tiles) == 1
    assert width_at(1, 0, 256) == 1


def test_tiles_hash_to_the_root() -> None:
    """The hashes of the tiles are those of the tree, at every level."""
    frontier, rows = Frontier(), list[bytes]()
    for n in range(600):
        rows += frontier.append(leaf_hash(b"%d" % n))

    def read(ids: object) -> list[bytes]:
        return [rows[row] for row in ids]  # type: ignore[attr-defined] # a sequence of ids

    leaves = b"".join(tile(0, n, width_at(0, n, 600), read) for n in range(3))
    assert root_of(leaves[at : at + 32] for at in range(0, len(leaves), 32)) == frontier.root()
    upper = tile(1, 0, 2, read)
    assert upper == b"".join(root_of(leaf_hash(b"%d" % n) for n in range(256 * t, 256 * t + 256)) for t in range(2))
    assert {(one.n, one.width) for one in tiles_of(600, 256) if one.level == 0} == {(1, 256), (2, 88)}
    with pytest.raises(ValueError, match="wide"):
        tile(0, 0, 257, read)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
@settings(max_examples=30)
def test_bundles_of_entries_read_back(entries: list[bytes]) -> None:
    """Two bytes of length, big-endian, before each entry; nothing between or after."""

    def read(start: int, limit: int) -> list[tuple[int, bytes]]:
        return list(enumerate(entries))[start : start + limit]

    data = entry_bundle(0, len(entries), read)

    assert parse_entry_bundle(data) == entries
    for bad in (data[:-1], data + b"\0", b"", data * 257):
        with pytest.raises(FormatError):
            parse_entry_bundle(bad)
    with pytest.raises(ValueError, match="there are not"):
        entry_bundle(1, 1, read)
