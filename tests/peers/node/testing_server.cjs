// npm web-push-testing's own server on a free port of loopback; writes the port, and ends when standard input does.
'use strict';

const TestingServer = require('web-push-testing/src/server.js');
const {PushApiModel} = require('web-push-testing/src/PushApiModel.js');

const server = new TestingServer(new PushApiModel(), 0);
server.startServer();
server._server.on('listening', () => process.stdout.write(`\nport=${server._server.address().port}\n`));
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
