import type { DeadLetter } from "../../src/bus/create.ts";
import { busContract, contractLimits } from "./bus.contract.ts";
import { startTestServer } from "./support.ts";

busContract("nats", async () => {
  const deadLetters: DeadLetter[] = [];
  const { payloadBytesMax, mailboxMessagesMax, deliveriesMax } = contractLimits;
  const server = await startTestServer({
    payloadBytesMax,
    mailboxMessagesMax,
    durable: { deliveriesMax, retryMsMin: 10, retryMsMax: 20 },
    onDeadLetter: (letter) => void deadLetters.push(letter),
  });
  return { connect: server.oona.connect, deadLetters, stop: server.stop };
});
