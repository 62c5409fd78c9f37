// A back end of Node's own HTTP server. Says on standard output what arrives, one JSON object a line:
// {"listen"}, {"id", "method", "path"} at the head, {"id", "bytes"} at the end of the body, {"bad"}.
'use strict';
const http = require('node:http');

let next = 0;
const say = (object) => process.stdout.write(JSON.stringify(object) + '\n');

const server = http.createServer((request, response) => {
  const id = next++;
  let bytes = 0;
  say({ id, method: request.method, path: request.url });
  request.on('data', (chunk) => { bytes += chunk.length; });
  request.on('error', () => {});
  request.on('end', () => {
    say({ id, bytes });
    const text = `${request.method} ${request.url} ${bytes}`;
    response.setHeader('Content-Length', Buffer.byteLength(text));
    response.end(text);
  });
});
server.keepAliveTimeout = 60000;
server.on('clientError', (error, socket) => {
  if (error.code === 'ECONNRESET' || !socket.writable) return socket.destroy();
  // A connection that was idle and ended brought no request.
  if (error.code !== 'HPE_INVALID_EOF_STATE') say({ bad: error.code });
  socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
});
server.listen(0, '127.0.0.1', () => say({ listen: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
