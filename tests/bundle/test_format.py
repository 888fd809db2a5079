"""The bundle directory: whole or absent, verified, and never written over what is not a bundle."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from groundschool.bundle import format as bundle
from groundschool.errors import InputError

TENSORS = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "flags": np.array([True, False]),
    "ids": np.array([-1, 2**40]),
}
FACTS = {"name": "é", "rate": 0.1, "curve": [1e-300, -0.0], "nothing": None}


@pytest.fixture
def path(tmp_path):
    return bundle.write(tmp_path / "bundle", TENSORS, FACTS)


def test_round_trip(path):
    tensors, facts = bundle.read(path)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(tensors[name], tensor)
    assert {key: facts[key] for key in FACTS} == FACTS
    assert [entry.name for entry in path.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", [bundle.TENSORS, bundle.MANIFEST])
def test_every_flipped_byte_is_refused(path, name):
    payload = (path / name).read_bytes()
    whole = bundle.read(path)[1]
    for position in range(len(payload)):
        flipped = bytes([payload[position] ^ (0x80 if position % 2 else 0x01)])
        (path / name).write_bytes(payload[:position] + flipped + payload[position + 1 :])
        try:
            facts = bundle.read(path)[1]
        except InputError:
            continue
        # white space of the JSON is not a fact
        assert name == bundle.MANIFEST
        assert facts == whole


@pytest.mark.parametrize("name", [bundle.TENSORS, bundle.MANIFEST])
@pytest.mark.parametrize("kept", [0, 1, 20, -1])
def test_truncation_is_refused(path, name, kept):
    payload = (path / name).read_bytes()
    (path / name).write_bytes(payload[:kept] if kept >= 0 else payload[:-3])
    with pytest.raises(InputError, match=r"corrupted|not a readable manifest"):
        bundle.read(path)


@pytest.mark.parametrize("name", [bundle.TENSORS, bundle.MANIFEST])
def test_a_missing_file_is_named(path, name):
    (path / name).unlink()
    with pytest.raises(InputError, match=f"no {name} there"):
        bundle.read(path)


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match=r"no manifest\.json there"):
        bundle.read(tmp_path / "nowhere")


@pytest.mark.parametrize("version", [2, "two", None])
def test_a_newer_format_says_upgrade(path, version):
    facts = json.loads((path / bundle.MANIFEST).read_text(encoding="utf-8"))
    facts["format_version"] = version
    (path / bundle.MANIFEST).write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(InputError, match="upgrade"):
        bundle.read(path)


@pytest.mark.parametrize("text", ["[1]", '"x"', "null", "1", "{}", '{"format_version": 1}'])
def test_json_that_is_no_manifest(path, text):
    (path / bundle.MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="not a readable manifest"):
        bundle.read(path)


def test_a_number_beyond_json_is_refused_with_a_sentence(path):
    manifest = path / bundle.MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("0.1", "1e999"), encoding="utf-8")
    with pytest.raises(InputError, match="corrupted"):
        bundle.read(path)


def test_tensors_that_hash_right_and_read_wrong(path):
    (path / bundle.TENSORS).write_bytes(b"not tensors")
    facts = json.loads((path / bundle.MANIFEST).read_text(encoding="utf-8"))
    facts["tensors_sha256"] = hashlib.sha256(b"not tensors").hexdigest()
    del facts["manifest_sha256"]
    facts["manifest_sha256"] = bundle._manifest_hash(facts)
    (path / bundle.MANIFEST).write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(InputError, match="not readable"):
        bundle.read(path)


def test_replacing_needs_force(path):
    with pytest.raises(InputError, match="already exists; choose another path, or replace it with force"):
        bundle.write(path, {"new": np.zeros(1)}, {})
    assert bundle.read(path)[0].keys() == TENSORS.keys()
    bundle.write(path, {"new": np.zeros(1)}, {}, force=True)
    assert bundle.read(path)[0].keys() == {"new"}
    assert [entry.name for entry in path.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("there", ["file", "empty directory", "directory", "bundle and notes"])
def test_force_replaces_only_bundles(tmp_path, there):
    target = tmp_path / "target"
    if there == "file":
        target.write_text("mine", encoding="utf-8")
    elif there == "bundle and notes":
        bundle.write(target, TENSORS, FACTS)
        (target / "notes.txt").write_text("mine", encoding="utf-8")
    else:
        target.mkdir()
        if there == "directory":
            (target / bundle.MANIFEST).write_text("mine", encoding="utf-8")
    before = sorted(str(entry) for entry in tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"already exists.*; choose another path$"):
        bundle.write(target, TENSORS, FACTS, force=True)
    assert sorted(str(entry) for entry in tmp_path.rglob("*")) == before


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        bundle.write(tmp_path / "bundle", TENSORS, {"rate": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        bundle.write(tmp_path / "file" / "bundle", {"x": np.zeros(1)}, {})


def changed(path, **facts):
    """Change the manifest, and hash it anew."""
    told = json.loads((path / bundle.MANIFEST).read_text(encoding="utf-8")) | facts
    del told["manifest_sha256"]
    told["manifest_sha256"] = bundle._manifest_hash(told)
    (path / bundle.MANIFEST).write_text(json.dumps(told), encoding="utf-8")


@pytest.mark.parametrize("version", [True, 0, -3, 1.0, "1", None, [1]])
def test_a_version_that_is_none_is_refused(path, version):
    changed(path, format_version=version)
    with pytest.raises(InputError, match=r"bundle format .*, this groundschool reads 1 to 1"):
        bundle.read(path)


@pytest.mark.parametrize("named", [["a.txt"], None, "a.txt", 3])
def test_attachments_that_are_no_mapping_are_refused(path, named):
    changed(path, attachments_sha256=named)
    for ask in (bundle.read, bundle.attachments):
        with pytest.raises(InputError, match="attachments_sha256 is no mapping"):
            ask(path)


@pytest.mark.parametrize("name", ["../else/manifest.json", "/etc/passwd", "a/b", "..", ".hidden", "a\\b", "", "a\n"])
def test_no_attachment_leads_out_of_the_bundle(path, name):
    changed(path, attachments_sha256={name: "0"})
    with pytest.raises(InputError, match="expected a plain file name"):
        bundle.read(path)


def test_a_manifest_nested_without_end_is_refused(path):
    (path / bundle.MANIFEST).write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(InputError, match="not a readable manifest"):
        bundle.read(path)
    bundle.write(path, TENSORS, FACTS, force=True)
    bundle.read(path)


def test_numbers_that_numpy_does_not_have_are_refused(path):
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    payload = len(header).to_bytes(8, "little") + header + b"0000"
    (path / bundle.TENSORS).write_bytes(payload)
    changed(path, tensors_sha256=hashlib.sha256(payload).hexdigest())
    with pytest.raises(InputError, match="not readable"):
        bundle.read(path)


def test_a_manifest_that_may_not_be_read_is_refused(path, monkeypatch):
    def denied(self, **ignored):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", denied)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        bundle.read(path)


def test_a_link_is_not_written_through(path):
    link = path.with_name("link")
    link.symlink_to(path)
    assert bundle.read(link)[1]["name"] == "é"
    with pytest.raises(InputError, match="is a link; name the place itself"):
        bundle.write(link, TENSORS, {}, force=True)
    assert link.is_symlink()
    assert bundle.read(path)[1]["name"] == "é"
