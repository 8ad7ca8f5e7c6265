/** The ids of the last messages, so that one that is handed over again is known. Bounded: the oldest is forgotten first. */
export interface RecentIds {
  /** True the first time that an id is told. */
  isNew(id: string): boolean;
}

export const createRecentIds = (idsMax = 10_000): RecentIds => {
  const ids = new Set<string>();
  return {
    isNew: (id) => {
      if (ids.has(id)) return false;
      ids.add(id);
      // A set remembers the order of insertion.
      if (ids.size > idsMax) for (const oldest of ids) return ids.delete(oldest);
      return true;
    },
  };
};
