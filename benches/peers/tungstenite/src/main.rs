//! A WebSocket echo with tungstenite and tokio, on one thread. With the argument `broadcast`, it
//! sends each message to all clients instead. Prints its address.

#![forbid(unsafe_code)]

use std::{env, error::Error};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{self, Sender},
};
use tokio_tungstenite::tungstenite::{self, Message};

/// The most messages that wait for a client. If a client is so slow that it misses some, nothing
/// more is sent to it.
const MAX_WAITING: usize = 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let is_broadcast = env::args().nth(1).as_deref() == Some("broadcast");
    let room = is_broadcast.then(|| Sender::new(MAX_WAITING));
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("ws://{}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A failure ends only its own connection.
            match room.clone() {
                None => tokio::spawn(async { _ = echo(stream).await }),
                Some(room) => tokio::spawn(async { _ = join(stream, room).await }),
            };
        }
    })
}

async fn echo(stream: TcpStream) -> Result<(), tungstenite::Error> {
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

async fn join(stream: TcpStream, room: Sender<Message>) -> Result<(), tungstenite::Error> {
    // Subscribes before the client can send anything, so that its messages come back to it, too.
    let mut news: broadcast::Receiver<Message> = room.subscribe();
    let (mut sink, mut stream) = tokio_tungstenite::accept_async(stream).await?.split();
    let forwarding = tokio::spawn(async move {
        while let Ok(message) = news.recv().await
            && sink.send(message).await.is_ok()
        {}
    });
    while let Some(Ok(message)) = stream.next().await {
        if is_data(&message) {
            // Fails only without a subscriber.
            _ = room.send(message);
        }
    }
    forwarding.abort();
    Ok(())
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
