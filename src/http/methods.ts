/** Which methods a path of this server takes, so that a wrong one is told apart from a wrong path (RFC 9110, 405 and `Allow`). */
import type { FastifyInstance } from "fastify";

export interface MethodTable {
  /** Sorted; none for a path that no route has. */
  of(path: string): readonly string[];
}

/** As the router matches: a name may be empty. */
const matches = (pattern: string, path: string): boolean => {
  const [wanted, found] = [pattern.split("/"), path.split("/")];
  return wanted.length === found.length && wanted.every((part, i) => part.startsWith(":") || part === found[i]);
};

/** Knows the routes that are registered after it. */
export const tableMethods = (app: FastifyInstance): MethodTable => {
  const routes = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ method, url }) => {
    // A route for whatever comes is no path of its own.
    if (url.includes("*")) return;
    const known = routes.get(url) ?? new Set<string>();
    routes.set(url, known);
    for (const each of [method].flat()) known.add(each);
  });
  return {
    of: (path) => [
      ...new Set([...routes].flatMap(([pattern, methods]) => (matches(pattern, path) ? [...methods] : [])).toSorted()),
    ],
  };
};
