"""A reader of `.kiln` sections that shares nothing with Kiln's own, after the layout in
src/fat/format.h."""

import ctypes
import ctypes.util
import pathlib
import struct
import types

from conftest import run

FIELDS = {1: "driver", 2: "output", 3: "inits", 7: "failure", 8: "archives", 9: "combine", 10: "contents"}
LISTS = ("inits", "archives", "combine")


def has_section(path):
    return " .kiln " in run("readelf", "-SW", path).stdout


def decompress(frame, size):
    zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t] * 2
    out = ctypes.create_string_buffer(size)
    assert zstd.ZSTD_decompress(out, size, frame, len(frame)) == size
    return out.raw


def read(path):
    """The record of the fat extension at PATH, with `object` the bytes of its relocatable."""
    section = pathlib.Path(f"{path}.section")
    run("objcopy", "-O", "binary", "--only-section=.kiln", "--set-section-flags", ".kiln=alloc", path, section)
    data = section.read_bytes()
    section.unlink()
    magic, version, record_size, object_size, frame_size, _ = struct.unpack_from("<8sIIQQQ", data)
    assert magic == b"KILNFAT\0" and version in (1, 2)
    parts_size = 0
    if version == 2:
        _, parts_size, _ = struct.unpack_from("<QQQ", data, 40)
        data = data[:40] + data[64:]
    assert len(data) == 40 + record_size + frame_size + parts_size
    data = data[:len(data) - parts_size]
    fat = types.SimpleNamespace(driver=None, output=None, failure=None, **{name: [] for name in LISTS})
    record = data[40:40 + record_size]
    while record:
        tag, size = struct.unpack_from("<II", record)
        text, record = record[8:8 + size].decode(), record[8 + size:]
        if FIELDS[tag] in LISTS:
            getattr(fat, FIELDS[tag]).append(text)
        else:
            setattr(fat, FIELDS[tag], text)
    fat.object = decompress(data[40 + record_size:], object_size) if object_size else None
    return fat


def defined(fat, directory):
    """The names of the functions and variables that FAT's relocatable defines, local ones included."""
    assert fat.failure is None, fat.failure
    path = directory / "relocatable.o"
    path.write_bytes(fat.object)
    lines = run("nm", "--defined-only", path).stdout.splitlines()
    return {line.split()[-1] for line in lines}


def undefined(fat, directory):
    path = directory / "relocatable.o"
    path.write_bytes(fat.object)
    return {line.split()[-1] for line in run("nm", "--undefined-only", path).stdout.splitlines()}


def change_record(path, edit):
    """Let EDIT change the entries of the record of the fat extension at PATH, a list of (tag, bytes), checksum and all."""
    section = pathlib.Path(f"{path}.section")
    run("objcopy", "-O", "binary", "--only-section=.kiln", "--set-section-flags", ".kiln=alloc", path, section)
    data = section.read_bytes()
    version, record_size = struct.unpack_from("<II", data, 8)
    start = 64 if version == 2 else 40
    record, entries = data[start:start + record_size], []
    while record:
        tag, size = struct.unpack_from("<II", record)
        entries.append((tag, record[8:8 + size]))
        record = record[8 + size:]
    edit(entries)
    record = b"".join(struct.pack("<II", tag, len(text)) + text for tag, text in entries)
    data = bytearray(data[:start] + record + data[start + record_size:])
    struct.pack_into("<I", data, 12, len(record))
    parts_size = struct.unpack_from("<Q", data, 48)[0] if version == 2 else 0
    struct.pack_into("<Q", data, 32, hash_bytes(bytes(data[40:len(data) - parts_size])))
    section.write_bytes(data)
    run("objcopy", "--update-section", f".kiln={section}", path)
    section.unlink()


def hash_bytes(data):
    xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
    xxhash.XXH3_64bits.restype = ctypes.c_uint64
    xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return xxhash.XXH3_64bits(data, len(data))
