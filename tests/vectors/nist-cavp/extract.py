"""Extracts the vectors for the vault's cipher from NIST's CAVP files for AES-GCM: 256-bit keys,
96-bit IVs, 128-bit tags.

Source: "GCM Test Vectors" of the Cryptographic Algorithm Validation Program, https://csrc.nist.gov/projects/
cryptographic-algorithm-validation-program/cavp-testing-block-cipher-modes, in the public domain as a work of the United
States government; taken from the PyPI package cryptography-vectors 50.0.2, folder cryptography_vectors/ciphers/AES/GCM.

    pip download --no-deps cryptography-vectors==50.0.2
    python3 extract.py cryptography_vectors-50.0.2-py3-none-any.whl

These commands write the .rsp files beside this script, in their original format, without all else.
"""

import pathlib
import re
import sys
import zipfile

WANTED = {"Keylen": "256", "IVlen": "96", "Taglen": "128"}


def extract(text):
    """Keeps the header of comments and, unchanged, each group with the wanted parameters."""
    groups = re.split(r"(?=\[Keylen = )", text.replace("\r\n", "\n"))
    kept = [group for group in groups[1:] if WANTED.items() <= dict(re.findall(r"\[(\w+) = (\d+)\]", group)).items()]
    return groups[0] + "".join(kept)


def main():
    here = pathlib.Path(__file__).parent
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        for name in ("gcmDecrypt256", "gcmEncryptExtIV256"):
            text = wheel.read(f"cryptography_vectors/ciphers/AES/GCM/{name}.rsp").decode("ascii")
            (here / f"{name}.rsp").write_text(extract(text), encoding="ascii")


main()
