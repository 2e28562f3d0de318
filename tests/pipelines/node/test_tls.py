"""A node with a certificate: scans pass encrypted, and whoever does not fit is told so in a sentence."""

import socket
import ssl
import subprocess
import threading
import time
import warnings

import ismrmrd
import numpy as np
import pytest
from certificates import make_certificates

from spokestream.errors import FileError, InputError
from spokestream.pipelines import wire
from spokestream.pipelines.cli.main import main
from spokestream.pipelines.client import ClientError, send_scan
from spokestream.pipelines.node.events import ScanEnded
from spokestream.pipelines.node.server_settings import ServerSettings
from spokestream.pipelines.tls import TlsSocket, client_context, server_context


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def of_node(files, name="node", **more):
    """The settings of a node with a certificate."""
    return {"tls_certificate": files / f"{name}.pem", "tls_key": files / f"{name}.key", **more}


def of_client(files, name=None, authority="hospital"):
    own = (files / f"{name}.pem", files / f"{name}.key") if name else ()
    return client_context(files / f"{authority}.pem", *own)


def big_readouts(number):
    """Readouts of 1 MB each, far more than fits into the buffers of a connection."""
    return [ismrmrd.Acquisition.from_array(np.full((16, 8192), 1, np.complex64))] * number


def scan(running, tls, items=(), host="127.0.0.1"):
    reply = send_scan("<header/>", items, host, running.port, "toy", tls=tls)
    return [int(image.data.flat[0]) for image in reply.images]


def test_a_scan_passes_encrypted_while_images_come_back(serve, files, tmp_path):
    with serve(**of_node(files), record=tmp_path) as running:
        tls = of_client(files)
        reply = send_scan("<header/>", big_readouts(30), "localhost", running.port, "toy", {"every": 1}, tls=tls)
        assert [int(image.data.flat[0]) for image in reply.images] == [*range(1, 31), 30]
    (recording,) = tmp_path.glob("*.spokes")
    assert b"<header/>" in recording.read_bytes()  # what was sent, not what was encrypted


def test_nothing_readable_goes_over_the_network(serve, files):
    """A relay between client and node sees no header."""
    seen = bytearray()
    with serve(**of_node(files)) as running, socket.create_server(("127.0.0.1", 0)) as relay:

        def pass_on(source, sink):
            while data := source.recv(1 << 16):
                seen.extend(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

        def run():
            client, _ = relay.accept()
            with client, socket.create_connection(("127.0.0.1", running.port)) as node:
                back = threading.Thread(target=pass_on, args=(node, client))
                back.start()
                pass_on(client, node)
                back.join()

        thread = threading.Thread(target=run)
        thread.start()
        secret = "<header>PATIENT</header>"
        send_scan(secret, [], "127.0.0.1", relay.getsockname()[1], "toy", tls=of_client(files))
        thread.join()
    assert len(seen) > 1000
    assert b"PATIENT" not in seen


def test_a_client_needs_a_certificate_of_the_authority_if_the_node_asks_for_one(serve, files, caplog):
    with serve(**of_node(files, tls_clients=files / "hospital.pem")) as running:
        assert scan(running, of_client(files, "scanner"), big_readouts(2)) == [2]
        for name in (None, "stranger"):
            with pytest.raises(
                ClientError, match=r"ended the connection after the TLS handshake .*it may ask for a cert"
            ):
                scan(running, of_client(files, name), big_readouts(3))
    assert "The TLS handshake failed (PEER_DID_NOT_RETURN_A_CERTIFICATE)" in caplog.text
    assert "The TLS handshake failed (CERTIFICATE_VERIFY_FAILED)" in caplog.text


@pytest.mark.parametrize(
    ("name", "authority", "sentence"),
    [
        ("node", "other", "The certificate of 127.0.0.1 is not accepted: unable to get local issuer certificate"),
        ("elsewhere", "hospital", "The certificate of 127.0.0.1 is not accepted: IP address mismatch"),
    ],
)
def test_a_client_trusts_the_authority_and_the_name_alone(serve, files, name, authority, sentence):
    with serve(**of_node(files, name)) as running, pytest.raises(ClientError, match=sentence):
        scan(running, of_client(files, authority=authority))


def test_a_plain_client_hears_one_sentence(serve, connect, files, readout, caplog):
    with serve(**of_node(files)) as running:
        sentence = r"This port is encrypted: connect with TLS \(`spokestream send --tls CA_FILE`\)\."
        with pytest.raises(ClientError, match=sentence):
            scan(running, None, big_readouts(30))
        (text, close) = connect(running.port).opening().hear()
        assert text.text.startswith("ERROR This port is encrypted")
        assert isinstance(close, wire.Close)
        assert scan(running, of_client(files), [readout()]) == [1]
    assert "Refused a client from 127.0.0.1: This port is encrypted" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_client_with_tls_hears_one_sentence_from_a_plain_node(serve, files, caplog):
    with (
        serve() as running,
        pytest.raises(ClientError, match=r"127\.0\.0\.1 does not answer in TLS .*--tls-certificate\?"),
    ):
        scan(running, of_client(files))
    assert "A TLS handshake (id 790) has no place in this stream" in caplog.text


@pytest.mark.parametrize("first", [b"", b"\x16"])
def test_a_handshake_has_a_deadline_and_counts_as_a_connection(serve, files, connect, eventually, first):
    with serve(**of_node(files), first_byte_s=1.5, max_connections=1) as running:
        silent = connect(running.port).raw(first)
        eventually(lambda: len(running.server._sessions) == 1)
        (text, _) = connect(running.port).hear()
        assert "has 1 connections already" in text.text
        if not first:
            assert "The client sent nothing in 1.5 s." in silent.hear()[0].text
            silent.hang_up()
        else:
            assert silent.socket.recv(1 << 10) == b""
        eventually(lambda: not running.server._sessions)
        assert scan(running, of_client(files)) == [0]


def test_a_client_that_leaves_before_the_handshake_leaves_nothing(serve, files, connect, eventually, tmp_path):
    with serve(**of_node(files), record=tmp_path) as running:
        connect(running.port).hang_up()
        connect(running.port).raw(b"\x16\x03\x01").hang_up()
        eventually(lambda: not running.server._sessions)
        assert scan(running, of_client(files)) == [0]
        (_,) = tmp_path.glob("*.spokes")


def test_a_node_stops_while_clients_shake_hands(serve, files, connect, eventually):
    with serve(**of_node(files)) as running:
        connect(running.port)
        connect(running.port).raw(b"\x16\x03\x01")
        eventually(lambda: len(running.server._sessions) == 2)
        begin = time.monotonic()
    assert time.monotonic() - begin < 10  # first_byte_s is 30


def test_a_client_that_breaks_the_encryption_has_vanished(serve, files, connect, eventually, caplog):
    with serve(**of_node(files)) as running:
        sock = socket.create_connection(("127.0.0.1", running.port))
        tls = TlsSocket(sock, of_client(files), "127.0.0.1")
        tls.sendall(b"".join(wire.Connection(wire.Role.CLIENT).send(wire.ConfigFile("toy"))))
        sock.sendall(bytes(100))
        eventually(lambda: "the client vanished after 0 readouts" in caplog.text)
        sock.close()
        eventually(lambda: not running.server._sessions)
    assert "defect" not in caplog.text


def test_the_command_sends_with_tls(serve, files, tmp_path, capsys):
    header = '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"/>'
    with ismrmrd.Dataset(tmp_path / "scan.h5") as dataset:
        dataset.write_xml_header(header.encode())
        dataset.append_acquisition(big_readouts(1)[0])
    with serve(**of_node(files, tls_clients=files / "hospital.pem")) as running:
        command = ["send", str(tmp_path / "scan.h5"), "--port", str(running.port), "-o", str(tmp_path / "maps.h5")]
        own = ["--certificate", str(files / "scanner.pem"), "--key", str(files / "scanner.key")]
        assert main([*command, "--pipeline", "toy", "--tls", str(files / "hospital.pem"), *own]) == 0
        assert "1 images" in capsys.readouterr().out
        assert main([*command, "--pipeline", "toy", *own]) == 1
        assert "--certificate and --key need each other, and --tls." in capsys.readouterr().err


# --- Files that cannot be used


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"tls_certificate": "node.pem"}, "tls_certificate and tls_key need each other"),
        ({"tls_key": "node.key"}, "tls_certificate and tls_key need each other"),
        ({"tls_clients": "hospital.pem"}, "tls_clients needs tls_certificate"),
    ],
)
def test_settings_that_need_each_other(files, given, sentence):
    with pytest.raises(InputError, match=sentence):
        ServerSettings(**{name: files / file for name, file in given.items()})


def test_files_that_are_no_certificates_end_the_start_in_a_sentence(files, tmp_path):
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(FileError, match=r"/missing cannot be read: No such file"):
        server_context(files / "node.pem", tmp_path / "missing", None)
    with pytest.raises(
        FileError, match=r"are no certificate and its key without a password, both in PEM form \(KEY_VALUES_MISMATCH\)"
    ):
        server_context(files / "node.pem", files / "scanner.key", None)
    with pytest.raises(FileError, match="holds no certificates in PEM form"):
        server_context(files / "node.pem", files / "node.key", tmp_path / "text")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "pkey", "-in", files / "node.key", "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(FileError, match="are no certificate and its key without a password"):
        server_context(files / "node.pem", locked, None)


def test_old_versions_of_tls_are_refused(serve, files):
    old = of_client(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # even to name the old versions is deprecated
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with serve(**of_node(files)) as running, pytest.raises(ClientError, match="does not answer in TLS"):
        scan(running, old)


def test_an_encrypted_scan_is_told_as_finished_and_its_session_ends(serve, files, eventually):
    told = []
    with serve(**of_node(files), observers=[told.append]) as running:
        scan(running, of_client(files), big_readouts(2))
        eventually(lambda: not running.server._sessions)
    assert [event.outcome for event in told if isinstance(event, ScanEnded)] == ["finished"]
