// A client of an echo server with the package `ws`, or with node's own WebSocket, which is a browser's:
//
//     node [--experimental-websocket] websocket_node.cjs FROM URL
//
// FROM is where `ws` is installed, or "own".
'use strict'

const { randomBytes } = require('node:crypto')

const [from, url] = process.argv.slice(2)
const Socket = from === 'own' ? WebSocket : require(from)
const sizes = [0, 1, 125, 126, 1000, 65535, 65536, 300000]
const socket = new Socket(url)
socket.binaryType = 'arraybuffer'
const letters = [...'Grüße, 🐶 €']
let waiting

const next = () => new Promise((resolve) => { waiting = resolve })

function fail (error) {
  console.error(error)
  process.exit(1)
}

socket.onerror = (event) => fail(event.message || 'an error')
socket.onmessage = ({ data }) => waiting(data)
socket.onclose = ({ code, reason }) => {
  if (code !== 3000) fail(`closed with ${code} ${reason}`)
}
socket.onopen = async () => {
  for (const size of sizes) {
    // Text that repeats itself would be compressed by more than is allowed.
    const text = Array.from({ length: size }, () => letters[Math.floor(Math.random() * letters.length)]).join('')
    socket.send(text)
    if (await next() !== text) fail(`text of ${size}`)
    const bytes = randomBytes(size)
    socket.send(bytes)
    if (Buffer.compare(Buffer.from(await next()), bytes)) fail(`${size} bytes`)
  }
  socket.close(3000, 'enough')
}
setTimeout(() => fail('a timeout'), 20000).unref()
