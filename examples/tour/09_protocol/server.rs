//! Step 9: the server of step 8 on an event loop. The messages and the answers are those of step 8.

#[path = "../08_json_header/answers.rs"]
mod answers;
#[path = "../08_json_header/message.rs"]
mod message;
mod messages;
#[cfg(test)]
mod tests;

use std::env;
use std::error::Error;

use sockeye::Config;

fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5000".into());
    let serving = sockeye::serve(&[address.parse()?], Config::default(), |peer| {
        println!("connection from {}", peer.address);
        messages::Messages::default()
    })?;
    let address = serving.ip_addresses().next().ok_or("not an IP address")?;
    println!("listening on port {}", address.port());
    serving.join()?;
    Ok(())
}
