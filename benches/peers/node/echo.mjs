// A WebSocket echo with ws on Node.js, or, with the argument `broadcast`, a server that sends each
// message to all clients. Prints its address.

import { WebSocketServer } from "ws";

const isBroadcast = process.argv[2] === "broadcast";
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 1 << 20 });
server.on("listening", () => console.log(`ws://127.0.0.1:${server.address().port}`));
server.on("connection", (socket) => {
  socket.on("message", (message, isBinary) => {
    for (const client of isBroadcast ? server.clients : [socket]) {
      client.send(message, { binary: isBinary });
    }
  });
  // A connection that fails ends, and no other one.
  socket.on("error", () => {});
});
