"""Certificates for tests, by the command `openssl`: an authority, a server, a client, and a client of somebody else."""

import subprocess

DAYS = "2"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def authority(folder, name):
    """`NAME.pem` and `NAME.key` of a new authority."""
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", DAYS,
        "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem",
    )  # fmt: skip


def certificate(folder, name, issuer, addresses="DNS:localhost,IP:127.0.0.1"):
    """`NAME.pem` and `NAME.key`, issued by an authority, for these addresses."""
    openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
        "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr",
    )  # fmt: skip
    (folder / f"{name}.ext").write_text(f"subjectAltName={addresses}\n")
    openssl(
        "x509", "-req", "-days", DAYS, "-in", folder / f"{name}.csr", "-CA", folder / f"{issuer}.pem",
        "-CAkey", folder / f"{issuer}.key", "-CAcreateserial", "-extfile", folder / f"{name}.ext",
        "-out", folder / f"{name}.pem",
    )  # fmt: skip


def make_certificates(folder):
    """The folder with `hospital` (authority), `node`, `scanner` and `elsewhere`, and `stranger`, whose is `other`."""
    authority(folder, "hospital")
    authority(folder, "other")
    certificate(folder, "node", "hospital")
    certificate(folder, "scanner", "hospital")
    certificate(folder, "elsewhere", "hospital", "DNS:elsewhere.example")
    certificate(folder, "stranger", "other")
    return folder
