/**
 * The NATS protocol by hand, on one connection with one message under way: no client of ours stands between the fuzz and the server, so
 * that headers and bytes arrive as they were made.
 */
import { connect, type Socket } from "node:net";

export type WireAnswer =
  | { readonly kind: "message"; readonly head: string; readonly body: Buffer }
  /** The server's own refusal, for example of a subject that the login may not publish on. */
  | { readonly kind: "denied"; readonly reason: string }
  /** The server ended the connection. */
  | { readonly kind: "closed"; readonly reason: string }
  | { readonly kind: "silent" };

export interface Login {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Replies arrive under it. */
  readonly inbox: string;
}

export interface WireMessage {
  readonly subject: string;
  readonly head: string | undefined;
  readonly body: string | Uint8Array;
  readonly asks: boolean;
}

export interface Wire {
  send(message: WireMessage): Promise<WireAnswer>;
  close(): void;
}

const endOfLine = Buffer.from("\r\n");

/** What the server says, a line and its payload at a time. */
type Said = { readonly verb: string; readonly line: string; readonly head: string; readonly body: Buffer };

const reader = (said: (each: Said) => void): ((bytes: Buffer) => void) => {
  let waiting: Buffer = Buffer.alloc(0);
  return (bytes) => {
    waiting = waiting.length === 0 ? bytes : Buffer.concat([waiting, bytes]);
    for (;;) {
      const end = waiting.indexOf(endOfLine);
      if (end < 0) return;
      const line = waiting.toString("latin1", 0, end);
      const verb = line.split(" ", 1)[0] ?? "";
      if (verb !== "MSG" && verb !== "HMSG") {
        waiting = waiting.subarray(end + 2);
        said({ verb, line, head: "", body: Buffer.alloc(0) });
        continue;
      }
      const sizes = line
        .split(" ")
        .slice(verb === "HMSG" ? -2 : -1)
        .map(Number);
      const total = sizes.at(-1) ?? 0;
      const headBytes = verb === "HMSG" ? (sizes[0] ?? 0) : 0;
      const start = end + 2;
      if (waiting.length < start + total + 2) return;
      const head = waiting.toString("latin1", start, start + headBytes);
      const body = Buffer.from(waiting.subarray(start + headBytes, start + total));
      waiting = waiting.subarray(start + total + 2);
      said({ verb, line, head, body });
    }
  };
};

export const openWire = async ({ url, user, password, inbox }: Login, answerMsMax: number): Promise<Wire> => {
  const { hostname, port } = new URL(url);
  let socket: Socket | undefined;
  let count = 0;
  let settle: ((answer: WireAnswer) => void) | undefined;
  let lastError = "";
  let token = "";
  let asks = false;

  const answered = (answer: WireAnswer): void => {
    const given = settle;
    settle = undefined;
    given?.(answer);
  };

  const open = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const opened = connect({ host: hostname, port: Number(port) });
      let ready = false;
      const fail = (reason: string): void => {
        if (ready) answered({ kind: "closed", reason });
        else reject(new Error(`expected the NATS server to let ${user} in: ${reason}`));
      };
      opened.setNoDelay(true);
      opened.on("error", (error) => fail(error.message));
      opened.on("close", () => {
        if (socket === opened) socket = undefined;
        fail(lastError || "closed");
      });
      opened.on(
        "data",
        reader(({ verb, line, head, body }) => {
          if (verb === "INFO" && !ready) {
            const options = {
              user,
              pass: password,
              verbose: false,
              headers: true,
              no_responders: true,
              protocol: 1,
              lang: "fuzz",
              version: "0",
            };
            opened.write(`CONNECT ${JSON.stringify(options)}\r\nSUB ${inbox}.> 1\r\nPING\r\n`);
          } else if (verb === "PING") opened.write("PONG\r\n");
          else if (verb === "PONG") {
            if (!ready) {
              ready = true;
              resolve(opened);
            } else if (!asks) answered({ kind: "silent" });
          } else if (verb === "-ERR") {
            lastError = line;
            if (/Permissions Violation/.test(line)) answered({ kind: "denied", reason: line });
          } else if ((verb === "MSG" || verb === "HMSG") && line.split(" ")[1] === token)
            answered({ kind: "message", head, body });
        }),
      );
    });

  socket = await open();
  return {
    send: async ({ subject, head, body, asks: wanted }) => {
      socket ??= await open();
      lastError = "";
      asks = wanted;
      token = `${inbox}.${count++}`;
      const payload = typeof body === "string" ? Buffer.from(body) : Buffer.from(body);
      const headBytes = head === undefined ? undefined : Buffer.from(head);
      const reply = asks ? ` ${token}` : "";
      const line =
        headBytes === undefined
          ? `PUB ${subject}${reply} ${payload.length}\r\n`
          : `HPUB ${subject}${reply} ${headBytes.length} ${headBytes.length + payload.length}\r\n`;
      const answer = new Promise<WireAnswer>((resolve) => {
        const timer = setTimeout(() => answered({ kind: "closed", reason: `no answer within ${answerMsMax} ms` }), answerMsMax);
        settle = (each) => {
          clearTimeout(timer);
          resolve(each);
        };
      });
      socket.write(Buffer.concat([Buffer.from(line), headBytes ?? Buffer.alloc(0), payload, endOfLine]));
      // Without an answer of its own, the server's to this tells that the message went through.
      if (!asks) socket.write("PING\r\n");
      return answer;
    },
    close: () => socket?.destroy(),
  };
};
