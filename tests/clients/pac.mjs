// pac.mjs FILE HOST: what a PAC file says about a host. The functions are those that browsers give to such a file.
import { readFileSync } from "node:fs";
import vm from "node:vm";

const [file, host] = process.argv.slice(2);
const context = {
  isPlainHostName: (name) => !name.includes("."),
  dnsDomainIs: (name, domain) => name === domain || name.endsWith(domain),
  localHostOrDomainIs: (name, full) => name === full || full.startsWith(`${name}.`),
  shExpMatch: (text, pattern) =>
    new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".")}$`).test(text),
  isInNet: () => false,
  isResolvable: () => true,
  dnsResolve: () => null,
  myIpAddress: () => "127.0.0.1",
  dnsDomainLevels: (name) => name.split(".").length - 1,
};
vm.createContext(context);
vm.runInContext(readFileSync(file, "utf8"), context);
console.log(context.FindProxyForURL(`https://${host}/`, host));
