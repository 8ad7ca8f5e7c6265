/** What a record holds under a name that came from elsewhere: its own values only, so that `__proto__` and the like are not found. */
export const own = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined;
