import socket

from core.devserver import ports


def taken(port):
    server = socket.socket()
    server.bind((ports.HOST, port))
    server.listen()
    return server


def test_a_port_is_kept(tmp_path):
    first = ports.keep(tmp_path, "store")

    assert first == ports.keep(tmp_path, "store")


def test_a_port_that_somebody_took_is_left_to_them(tmp_path):
    first = ports.keep(tmp_path, "store")
    with taken(first):
        second = ports.keep(tmp_path, "store")

    assert first != second
    assert second == ports.keep(tmp_path, "store")


def test_names_and_checkouts_have_ports_of_their_own(tmp_path):
    (tmp_path / "other").mkdir()
    chosen = [ports.keep(folder, name) for folder in (tmp_path, tmp_path / "other") for name in ("one", "two")]

    assert len(chosen) == len(set(chosen))


def test_a_file_that_was_cut_off_is_made_again(tmp_path):
    (tmp_path / ports.FILE).write_text('{"store": 2', encoding="utf-8")

    assert ports.keep(tmp_path, "store") in ports.RANGE


def test_a_noted_port_is_found_by_other_terminals_beside_those_that_are_kept(tmp_path):
    kept = ports.keep(tmp_path, "flower")
    ports.note(tmp_path, "web", 8123)

    assert (8123, kept, None) == tuple(ports.noted(tmp_path, name) for name in ("web", "flower", "postgres"))
