/**
 * An actor as a service of the NATS services framework: any client finds it with `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.
 * The framework cannot take an endpoint away, so a service with the rest takes over from the one before it, without a gap.
 */
import type { NatsConnection, Service, ServiceMsg } from "./nats-client.ts";

export interface EndpointSpec {
  /** May hold `*` for one token. */
  readonly subject: string;
  readonly about: string;
  /** JSON Schema of a request and of its answer. */
  readonly payload?: string;
  readonly reply?: string;
  /** Called for each request; answers through the message, at any later time. */
  readonly handler: (message: ServiceMsg) => void;
  /** What `$SRV.STATS` tells of it. */
  readonly stats: () => object;
}

export interface ServiceHost {
  add(endpoint: EndpointSpec): Promise<void>;
  remove(subject: string): Promise<void>;
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly connection: NatsConnection;
  readonly name: string;
  readonly version: string;
  readonly description: string;
  /** What the actor tells of itself and its node. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Size of the schemas that are told; what is over it is left to the documentation. */
  readonly schemasLengthMax?: number;
}

/** An endpoint's metadata: schemas as far as there is room for them. */
const metadataOf = ({ about, payload, reply }: EndpointSpec, room: number): Record<string, string> => {
  const length = (payload?.length ?? 0) + (reply?.length ?? 0);
  if (length > room) return { about, schemas: "too long to be told here; `esper openapi` and the README have them" };
  return { about, ...(payload === undefined ? {} : { payload }), ...(reply === undefined ? {} : { reply }) };
};

const endpointName = (subject: string): string => subject.replaceAll(".", "-").replaceAll("*", "any");

export const startServiceHost = async (options: ServiceOptions): Promise<ServiceHost> => {
  const { connection, name, version, description, metadata = {}, schemasLengthMax = 0 } = options;
  const endpoints = new Map<string, EndpointSpec>();

  /** What one answer still has room for. */
  let room = schemasLengthMax;
  const attach = (service: Service, endpoint: EndpointSpec): void => {
    const { subject, handler } = endpoint;
    const told = metadataOf(endpoint, room);
    room -= (told["payload"]?.length ?? 0) + (told["reply"]?.length ?? 0);
    service.addEndpoint(endpointName(subject), {
      subject,
      metadata: told,
      handler: (error, message) => {
        if (!error) handler(message);
      },
    });
  };

  const start = async (): Promise<Service> => {
    room = schemasLengthMax;
    const service = await connection.services.add({
      name,
      version,
      description,
      metadata: { ...metadata },
      // Nodes that host the same actor share its requests.
      queue: name,
      statsHandler: (endpoint) => Promise.resolve(endpoints.get(endpoint.subject)?.stats() ?? null),
    });
    for (const endpoint of endpoints.values()) attach(service, endpoint);
    return service;
  };

  let service = await start();
  let stopped = false;
  // One change after the other: two at once would each start a service.
  let change: Promise<void> = Promise.resolve();
  return {
    add: async (endpoint) => {
      endpoints.set(endpoint.subject, endpoint);
      attach(service, endpoint);
      await connection.flush();
    },
    remove: (subject) => {
      endpoints.delete(subject);
      const replace = async (): Promise<void> => {
        if (stopped || connection.isClosed()) return;
        const before = service;
        service = await start();
        await connection.flush();
        await before.stop();
      };
      change = change.catch(() => undefined).then(replace);
      return change;
    },
    stop: async () => {
      stopped = true;
      await change.catch(() => undefined);
      await service.stop();
    },
  };
};
