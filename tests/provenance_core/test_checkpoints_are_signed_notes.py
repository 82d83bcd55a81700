import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.core.checkpoint import (
    Checkpoint,
    CheckpointRefusal,
    VerifierKey,
    open_checkpoint,
    open_note,
    sign_checkpoint,
    sign_note,
)
from tests.provenance_core.logs import Log, ed25519, public_bytes

# The example of c2sp.org/signed-note.
PUBLISHED_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
PUBLISHED_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def code_of(action, *arguments):
    with pytest.raises(CheckpointRefusal) as caught:
        action(*arguments)
    return caught.value.code


@pytest.fixture(scope="module")
def log():
    return Log(entries=[b"one", b"two", b"three"])


def test_the_published_example_is_accepted():
    key = VerifierKey.parse(PUBLISHED_KEY)
    assert str(key) == PUBLISHED_KEY
    assert open_note(PUBLISHED_NOTE, [key]) == ("This is an example message.\n", [key])


def test_a_checkpoint_reads_back_from_its_signed_note(log):
    note = log.note()
    assert open_checkpoint(note, [log.vkey]) == log.checkpoint()
    origin, size, root, *_ = note.split("\n")
    assert (origin, size) == ("log.example/cadastre", "3")
    assert base64.b64decode(root) == log.tree.root


def test_signatures_of_unknown_keys_are_ignored_and_those_of_known_ones_add_up(log):
    witness = VerifierKey("witness.example", public_bytes(ed25519(9)))
    line = sign_note(log.checkpoint().text, witness, ed25519(9).sign).split("\n\n")[1]
    note = log.note() + line
    assert open_checkpoint(note, [log.vkey]) == log.checkpoint()
    assert open_note(note, [witness, log.vkey])[1] == [log.vkey, witness]


def test_a_key_with_the_name_of_the_log_but_another_key_is_not_the_log(log):
    mallory = Log(seed=66, entries=[b"one", b"two", b"three"])
    assert code_of(open_checkpoint, mallory.note(), [log.vkey]) == "note.unsigned"


def test_a_trusted_key_of_another_log_does_not_sign_for_this_one(log):
    other = VerifierKey("other.example", public_bytes(ed25519(5)))
    note = sign_checkpoint(log.checkpoint(), other, ed25519(5).sign)
    assert code_of(open_checkpoint, note, [other, log.vkey]) == "checkpoint.origin"


def test_without_a_key_nothing_is_believed(log):
    assert code_of(open_checkpoint, log.note(), []) == "note.no_keys"


def test_a_wrong_private_key_is_noticed_before_its_signature_leaves(log):
    assert code_of(sign_checkpoint, log.checkpoint(), log.vkey, ed25519(3).sign) == "note.wrong_signature"


@given(st.data())
def test_any_flipped_byte_of_a_note_is_refused(log, data):
    note = bytearray(log.note().encode())
    at = data.draw(st.integers(0, len(note) - 1))
    note[at] ^= data.draw(st.integers(1, 255))
    try:
        text = note.decode()
    except UnicodeDecodeError:
        return
    with pytest.raises(CheckpointRefusal):
        open_checkpoint(text, [log.vkey])


@pytest.mark.parametrize(
    "text",
    [
        "log\n1\n",
        "log\n01\n" + "A" * 43 + "=\n",
        "log\n-1\n" + "A" * 43 + "=\n",
        "log\n1\n" + "A" * 42 + "==\n",
        "log\n1\n" + "A" * 42 + "B=\n",  # the same bytes in another spelling
        "\n1\n" + "A" * 43 + "=\n",
        "log\n1\n" + "A" * 43 + "=\nextension\n",
        "log\n1\n" + "A" * 43 + "=",
    ],
)
def test_a_malformed_checkpoint_is_refused(text):
    assert code_of(Checkpoint.parse, text).startswith("checkpoint.")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "vkey.text"),
        ("name+00000000", "vkey.text"),
        (PUBLISHED_KEY.replace("530d903a", "530d903b"), "vkey.id"),
        ("name+00000000+Aq==", "vkey.text"),
        ("name+00000000+" + base64.b64encode(b"\x04" + bytes(32)).decode(), "vkey.algorithm"),
        ("na me+00000000+" + base64.b64encode(b"\x01" + bytes(32)).decode(), "vkey.name"),
        ("name+00000000+" + base64.b64encode(b"\x01" + bytes(31)).decode(), "vkey.key"),
    ],
)
def test_a_malformed_key_is_refused(text, code):
    assert code_of(VerifierKey.parse, text) == code


def test_control_characters_and_floods_of_signatures_are_refused(log):
    assert code_of(sign_note, "a\tb\n", log.vkey, log.private.sign) == "note.text"
    assert code_of(sign_note, "no newline", log.vkey, log.private.sign) == "note.text"
    line = log.note().split("\n\n")[1]
    assert code_of(open_note, log.note() + line * 40, [log.vkey]) == "note.signatures"
    assert code_of(open_note, "x" * 70_000, [log.vkey]) == "note.too_large"
    assert code_of(open_note, "text\n", [log.vkey]) == "note.shape"
    assert code_of(open_note, "text\n\nno dash\n", [log.vkey]) == "note.signature"
