//! Step 1.

use crate::support::{Server, python, run, rust};

const RECEIVED: &str = "received: Hello World";

#[test]
fn each_server_echoes_to_each_client_and_ends() {
    let servers: [fn() -> Server; 2] =
        [|| Server::rust(&mut rust!("step1-server")), || Server::python("01_echo/server.py")];
    for start in servers {
        let server = start();
        let client = run(rust!("step1-client").arg(server.address().to_string()));
        assert_eq!(client, [RECEIVED]);
        assert!(server.program.line().starts_with("connection from 127.0.0.1:"));
        assert!(server.program.rest().is_empty());

        let server = start();
        let port = server.port.to_string();
        assert_eq!(run(python("01_echo/client.py").args(["127.0.0.1", &port])), [RECEIVED]);
        server.program.line();
        assert!(server.program.rest().is_empty());
    }
}
