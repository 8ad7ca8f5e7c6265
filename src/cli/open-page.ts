/** Opens an address of this machine in the person's browser, by the program that the system has for it. */
import { spawn } from "node:child_process";
import { isIP } from "node:net";

const openers: Readonly<Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>>> = {
  darwin: ["open"],
  win32: ["explorer.exe"],
};

const isLoopback = (hostname: string): boolean => {
  const name = hostname.replace(/^\[|\]$/g, "");
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."));
};

/** True for an http address of this machine: nothing else is handed to another program. */
export const mayOpen = (url: string): boolean => {
  try {
    const { protocol, hostname } = new URL(url);
    return protocol === "http:" && isLoopback(hostname);
  } catch {
    return false;
  }
};

/** Resolves with why it could not be opened, or with undefined. The browser outlives this program. */
export const openPage = (url: string, platform: NodeJS.Platform = process.platform): Promise<string | undefined> => {
  if (!mayOpen(url)) return Promise.resolve(`${url} is no address of this machine`);
  const [command, ...args] = openers[platform] ?? ["xdg-open"];
  return new Promise((resolve) => {
    const child = spawn(command, [...args, url], { detached: true, stdio: "ignore" });
    child.once("error", (error) => resolve(`${command}: ${error.message}`));
    child.once("spawn", () => {
      child.unref();
      resolve(undefined);
    });
  });
};
