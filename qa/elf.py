"""What the dynamic section of a shared object says: its references and the words that are relocated."""

import collections
import mmap
import struct

PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_TLS = 1, 2, 4, 7
NT_GNU_BUILD_ID = 3
DT_NEEDED, DT_PLTRELSZ, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_JMPREL = 1, 2, 5, 6, 7, 8, 23
DT_RELRSZ, DT_RELR, DT_VERSYM, DT_VERDEF, DT_VERNEED = 35, 36, 0x6ffffff0, 0x6ffffffc, 0x6ffffffe
VER_FLG_BASE = 1
SHT_SYMTAB, SHT_DYNSYM = 2, 11
ET_EXEC = 2
# x86-64 psABI.
TYPES = {1: "64", 6: "GLOB_DAT", 7: "JUMP_SLOT", 8: "RELATIVE", 16: "DTPMOD64", 17: "DTPOFF64", 18: "TPOFF64",
         36: "TLSDESC", 37: "IRELATIVE"}

Segment = collections.namedtuple("Segment", "type flags offset vaddr paddr filesz memsz align")
Symbol = collections.namedtuple("Symbol", "name version info other shndx value size")
Word = collections.namedtuple("Word", "offset type symbol addend")  # symbol: an index; 0: none


class Object:
    """An ELF64 file, little-endian. Addresses are those of its headers."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = struct.unpack_from("<16sHHIQQQIHHHHHH", self.bytes)
        self.type, self.sections_at, self.section_count = header[1], header[6], header[12]
        self.segments = []
        for index in range(header[10]):
            kind, flags, *rest = struct.unpack_from("<IIQQQQQQ", self.bytes, header[5] + index * 56)
            self.segments.append(Segment(kind, flags, *rest))
        self.tags, needed = {}, []
        dynamic = next((s for s in self.segments if s.type == PT_DYNAMIC), None)
        if dynamic:
            for tag, value in struct.iter_unpack("<QQ", self.bytes[dynamic.offset:dynamic.offset + dynamic.filesz]):
                if tag == 0:
                    break
                if tag == DT_NEEDED:
                    needed.append(value)
                self.tags.setdefault(tag, value)
        self.needed = [self.get_string(offset) for offset in needed]
        self._versions = None
        self._symbols = {}

    def close(self):
        self.bytes.close()

    @property
    def size(self):
        """Bytes of memory, from address 0."""
        return max(s.vaddr + s.memsz for s in self.segments if s.type == PT_LOAD)

    def locate(self, address):
        """The place of ADDRESS in the file."""
        for segment in self.segments:
            if segment.type == PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
                return address - segment.vaddr + segment.offset
        raise ValueError(f"{self.path}: address {address:#x} is not in the file")

    def get_bytes(self, address, size):
        place = self.locate(address)
        return self.bytes[place:place + size]

    def get_string(self, offset):
        start = self.locate(self.tags[DT_STRTAB]) + offset
        return self.bytes[start:self.bytes.find(b"\0", start)].decode(errors="replace")

    def _read_versions(self):
        """{index: name} of DT_VERNEED and DT_VERDEF, the base version left out."""
        versions = {}
        place = self.locate(self.tags[DT_VERDEF]) if DT_VERDEF in self.tags else None
        while place is not None:
            _, flags, index, _, _, aux, following = struct.unpack_from("<HHHHIII", self.bytes, place)
            name, = struct.unpack_from("<I", self.bytes, place + aux)
            if not flags & VER_FLG_BASE:
                versions[index & 0x7fff] = self.get_string(name)
            place = place + following if following else None
        place = self.locate(self.tags[DT_VERNEED]) if DT_VERNEED in self.tags else None
        while place is not None:
            _, count, _, aux, following = struct.unpack_from("<HHIII", self.bytes, place)
            entry = place + aux
            for _ in range(count):
                _, _, index, name, step = struct.unpack_from("<IHHII", self.bytes, entry)
                versions[index & 0x7fff] = self.get_string(name)
                entry += step
            place = place + following if following else None
        return versions

    def read_build_id(self):
        """The NT_GNU_BUILD_ID of its notes, or None."""
        for segment in self.segments:
            place, end = segment.offset, segment.offset + segment.filesz
            while segment.type == PT_NOTE and place + 12 <= end:
                name_size, size, type = struct.unpack_from("<III", self.bytes, place)
                at = place + 12 + (name_size + 3 & ~3)
                if type == NT_GNU_BUILD_ID and self.bytes[place + 12:place + 16] == b"GNU\0":
                    return bytes(self.bytes[at:at + size])
                place = at + (size + 3 & ~3)
        return None

    def get_symbol(self, index):
        if index not in self._symbols:
            if self._versions is None:
                self._versions = self._read_versions()
            name, info, other, shndx, value, size = struct.unpack(
                "<IBBHQQ", self.get_bytes(self.tags[DT_SYMTAB] + index * 24, 24))
            version = None
            if DT_VERSYM in self.tags:
                number, = struct.unpack("<H", self.get_bytes(self.tags[DT_VERSYM] + index * 2, 2))
                version = self._versions.get(number & 0x7fff)
            self._symbols[index] = Symbol(self.get_string(name), version, info, other, shndx, value, size)
        return self._symbols[index]

    def _read_relr(self):
        """Addresses of the words of DT_RELR (gABI)."""
        following = 0
        entries = self.get_bytes(self.tags[DT_RELR], self.tags[DT_RELRSZ]) if DT_RELR in self.tags else b""
        for entry, in struct.iter_unpack("<Q", entries):
            if entry & 1:
                yield from (following + 8 * bit for bit in range(63) if entry >> (bit + 1) & 1)
                following += 63 * 8
            else:
                yield entry
                following = entry + 8

    def read_words(self):
        """Every word with a dynamic relocation."""
        for address in self._read_relr():
            addend, = struct.unpack("<q", self.get_bytes(address, 8))
            yield Word(address, "RELATIVE", 0, addend)
        for table, size in ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)):
            if self.tags.get(size):
                for offset, info, addend in struct.iter_unpack("<QQq", self.get_bytes(self.tags[table], self.tags[size])):
                    if info & 0xffffffff:
                        yield Word(offset, TYPES.get(info & 0xffffffff, str(info & 0xffffffff)), info >> 32, addend)

    def read_references(self):
        """{(name, version or None)} of what its relocations look up."""
        return {self.get_symbol(word.symbol)[:2] for word in self.read_words() if word.symbol}

    def _find_section(self, kind):
        """(symbols, where its strings start, their size) of the symbol table of this type; None: there is none."""
        sections = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, self.sections_at + index * 64)
                    for index in range(self.section_count)]
        section = next((section for section in sections if section[1] == kind), None)
        return section and (self.bytes[section[4]:section[4] + section[5]], *sections[section[6]][4:6])

    def read_dynamic_symbols(self):
        table, strings, _ = self._find_section(SHT_DYNSYM)
        for name, info, other, shndx, value, size in struct.iter_unpack("<IBBHQQ", table):
            end = self.bytes.find(b"\0", strings + name)
            yield Symbol(self.bytes[strings + name:end].decode(), None, info, other, shndx, value, size)

    def read_symbol_table(self, wanted=(), prefix=None):
        """{name: address} in .symtab, of WANTED, or of those that start with PREFIX."""
        found = self._find_section(SHT_SYMTAB)
        if found is None:
            return {}
        table, start, size = found
        places = {}  # of strings, {offset: name}; a name may be the end of a longer one
        for text in ([prefix] if prefix else wanted):
            encoded = text.encode() + (b"" if prefix else b"\0")
            place = self.bytes.find(encoded, start, start + size)
            while place >= 0:
                places[place - start] = self.bytes[place:self.bytes.find(b"\0", place)].decode()
                place = self.bytes.find(encoded, place + 1, start + size)
        return {places[name]: value for name, _, _, shndx, value, _ in struct.iter_unpack("<IBBHQQ", table)
                if name in places and shndx}
