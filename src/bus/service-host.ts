/**
 * An actor as a service of the NATS services framework: any client finds it with `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`.
 * The framework cannot take an endpoint away, so a service with the rest takes over from the one before it, without a gap.
 */
import type { NatsConnection, Service, ServiceMsg } from "./nats-client.ts";

export interface EndpointSpec {
  /** May hold `*` for one token. */
  readonly subject: string;
  readonly about: string;
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
}

const endpointName = (subject: string): string => subject.replaceAll(".", "-").replaceAll("*", "any");

export const startServiceHost = async ({ connection, name, version, description }: ServiceOptions): Promise<ServiceHost> => {
  const endpoints = new Map<string, EndpointSpec>();

  const attach = (service: Service, { subject, about, handler }: EndpointSpec): void => {
    service.addEndpoint(endpointName(subject), {
      subject,
      metadata: { about },
      handler: (error, message) => {
        if (!error) handler(message);
      },
    });
  };

  const start = async (): Promise<Service> => {
    const service = await connection.services.add({
      name,
      version,
      description,
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
