// The broadcast of ws's own README: node node_ws.js PORT CONTROL_PORT, told as servers/control.py describes.
"use strict"

const net = require("node:net")
const readline = require("node:readline")
const { WebSocket, WebSocketServer } = require("ws")

const [port, controlPort] = process.argv.slice(2).map(Number)
const host = "127.0.0.1"
const clients = new Set()

const server = new WebSocketServer({ host, port, perMessageDeflate: false, backlog: 4096 })

server.on("connection", (client, request) => {
  client.on("error", () => client.terminate())
  if (request.url === "/echo/") {
    client.on("message", (data, binary) => client.send(data, { binary }))
    return
  }
  clients.add(client)
  client.on("close", () => clients.delete(client))
})

// ws has no broadcast: send() encodes the text and builds the frame's header again for each client. Cheaper, but
// outside its documented interface: build the frame once with Sender.frame() and write it to each client's socket.
function publish(text) {
  for (const client of clients) {
    if (client.readyState === WebSocket.OPEN) client.send(text)
  }
}

const control = net.createServer((socket) => {
  socket.on("error", () => socket.destroy())
  readline.createInterface({ input: socket }).on("line", (line) => {
    JSON.parse(line).forEach(publish)
    socket.write("ok\n")
  })
})

control.listen(controlPort, host)
