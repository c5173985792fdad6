//! Step 3.

use crate::support::{Server, python, run, rust};

/// More bytes than all buffers between two programs hold: a client that only writes hangs.
const MANY: &str = "40000000";

#[test]
fn one_read_returns_less_than_one_write_has_taken() {
    let server = Server::rust(&mut rust!("step2-threads"));
    let lines = run(rust!("step3-once").arg(server.address().to_string()));
    assert_eq!(lines[0], "write took 200000 of 200000 bytes");
    let received = lines[1].strip_prefix("read returned ").unwrap();
    let received = received.strip_suffix(" of 200000 bytes").unwrap();
    assert!((1..200_000).contains(&received.parse().unwrap()), "{lines:?}");
}

#[test]
fn one_send_on_a_socket_with_a_timeout_takes_a_part() {
    let server = Server::rust(&mut rust!("step2-threads"));
    let lines = run(python("03_partial/send.py").args(["127.0.0.1", &server.port.to_string()]));
    let taken = lines[0].strip_prefix("send took ").unwrap();
    let taken = taken.strip_suffix(" of 100000000 bytes").unwrap();
    assert!((1..100_000_000).contains(&taken.parse().unwrap()), "{lines:?}");
}

#[test]
fn writing_everything_before_reading_works_with_few_bytes() {
    let server = Server::rust(&mut rust!("step2-threads"));
    let lines = run(rust!("step3-deadlock").args([&*server.address().to_string(), "200000"]));
    assert_eq!(lines, ["sent 200000 bytes, received 200000"]);
}

#[test]
fn each_client_gets_many_bytes_back_from_each_server() {
    let servers: [fn() -> Server; 2] =
        [|| Server::rust(&mut rust!("step2-threads")), || Server::python("01_echo/server.py")];
    for start in servers {
        for bytes in ["0", MANY] {
            let all = format!("sent {bytes} bytes, received {bytes}");
            let server = start();
            let client = run(rust!("step3-client").args([&*server.address().to_string(), bytes]));
            assert_eq!(client, [&*all]);

            let server = start();
            let port = server.port.to_string();
            let client = run(python("03_partial/client.py").args(["127.0.0.1", &port, bytes]));
            assert_eq!(client, [&*all]);
        }
    }
}
