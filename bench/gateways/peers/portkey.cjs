// Preloaded into Portkey's gateway.

// It has no setting for its address: it listens on 127.0.0.1 only.
const net = require("node:net");

const { listen } = net.Server.prototype;

net.Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((one) => typeof one === "function");
  return typeof port === "object"
    ? listen.call(this, { ...port, host: "127.0.0.1" }, callback)
    : listen.call(this, { port, host: "127.0.0.1" }, callback);
};

// It adds to the headers of each stream that it passes on. Those of an answer of `fetch` cannot be
// changed, so that version 1.15.2 answers each streamed call with 500 (seen with Node 20). A copy
// of them can.
const { fetch, Headers, Response } = globalThis;

globalThis.fetch = async (...call) => {
  const { body, headers, status, statusText } = await fetch(...call);
  return new Response(body, { headers: new Headers(headers), status, statusText });
};
