"""Run by the baked program: what two extensions with the same symbols must not do to each other."""

import bank._native
import shop._native

assert shop._native.total(5) == 5
assert bank._native.total(5) == 1005
assert shop._native.total(1) == 6
for module in bank._native, shop._native:
    assert type(module.__loader__).__module__ == "_kiln", module
print("two extensions, one program, two ledgers")
