// kinesis-local listens on every address and has no option for it: every server of this process listens on loopback.
'use strict';
const { Server } = require('node:net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (...given) {
  const callback = given.find((argument) => typeof argument === 'function');
  const options = typeof given[0] === 'object' && given[0] !== null ? given[0] : { port: given[0] };
  return listen.call(this, { ...options, host: '127.0.0.1' }, callback);
};
