// fetch.mjs URL ADDRESS:PORT: opens the URL by TLS at that address, and prints the status, or why not.
import https from "node:https";
import net from "node:net";

const [url, address] = process.argv.slice(2);
const [host, port] = address.split(":");
const request = https.get(url, {
  agent: new https.Agent({ keepAlive: false }),
  lookup: (_, options, done) =>
    options.all ? done(null, [{ address: host, family: net.isIP(host) }]) : done(null, host, net.isIP(host)),
  port: Number(port),
});
request.on("response", (response) => {
  console.log(`status ${response.statusCode}`);
  response.resume();
});
request.on("error", (error) => {
  console.log(`refused ${error.code}: ${error.message}`);
  process.exitCode = 1;
});
