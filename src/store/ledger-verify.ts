/**
 * Checks a ledger from its first entry to its signed end, in constant memory.
 *
 * V1 Every entry has the index after the one before, its hash, and the hash that its own columns call for.
 * V2 The end is signed, and is the last entry; every kept head is signed and is of the entry that it names.
 * V3 The heads in the database and those in the file beside it are the same.
 * V4 All is signed by the key whose fingerprint is noted beside the database. What is not there to compare is a problem, never healthy.
 * V5 Every problem names the entry it is about, where there is one, and what is wrong. At most `problemsMax` are told, all are counted.
 */
import { EsperError } from "../contracts/errors.ts";
import { genesisHash, LedgerHead } from "../contracts/ledger.ts";
import type { DatabaseReader } from "./database.ts";
import { hashOfRow, type LedgerRow, readLedgerHeads, readLedgerRows, readLedgerTail } from "./ledger-rows.ts";
import { fingerprintOf, type SignaturePurpose, verifyHead } from "./ledger-signature.ts";

export const ledgerProblemKinds = [
  "entry_missing",
  "entry_out_of_place",
  "entry_changed",
  "link_broken",
  "unreadable",
  "end_missing",
  "end_changed",
  "cut",
  "head_changed",
  "head_missing",
  "head_not_in_file",
  "heads_file_missing",
  "heads_file_changed",
  "signature_wrong",
  "key_unknown",
  "key_changed",
] as const;

export interface LedgerProblem {
  readonly kind: (typeof ledgerProblemKinds)[number];
  /** The entry; absent for what is about the whole ledger. */
  readonly index?: number;
  readonly detail: string;
}

export interface LedgerVerdict {
  readonly entries: number;
  /** Kept heads in the database. */
  readonly heads: number;
  /** The last entry that a kept head signs; 0 without one. */
  readonly signedUpTo: number;
  /** The first ones, in the order in which they were found. */
  readonly problems: readonly LedgerProblem[];
  readonly problemCount: number;
}

export interface VerifyOptions {
  readonly database: Pick<DatabaseReader, "prepare">;
  /** The heads beside the database; undefined when their file is not there. */
  readonly fileHeads: AsyncIterable<LedgerHead> | undefined;
  /** The noted fingerprint; undefined when it is not there. */
  readonly fingerprint: string | undefined;
  readonly problemsMax: number;
}

/** Collects what is wrong. */
class Findings {
  readonly problems: LedgerProblem[] = [];
  count = 0;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }
  add(kind: LedgerProblem["kind"], detail: string, index?: number): void {
    this.count += 1;
    if (this.problems.length < this.#max) this.problems.push({ kind, ...(index === undefined ? {} : { index }), detail }); // V5
  }
}

const range = (first: number, last: number): string => (first === last ? `entry ${first}` : `entries ${first} to ${last}`);

interface Chain {
  readonly entries: number;
  readonly last: LedgerRow | undefined;
}

/** V1, V2: entries in order, each kept head beside its entry. */
const checkChain = (database: VerifyOptions["database"], heads: HeadChecker, findings: Findings): Chain => {
  let entries = 0;
  let last: LedgerRow | undefined;
  let doubted = false;
  for (const row of readLedgerRows(database)) {
    const expected = (last?.index ?? 0) + 1;
    const { index } = row;
    if (index < expected) findings.add("entry_out_of_place", `expected entries from 1 on, found entry ${index}`, index);
    else if (index > expected) findings.add("entry_missing", `${range(expected, index - 1)} missing`, expected);
    else if (!doubted && row.previousHash !== (last?.hash ?? genesisHash))
      findings.add("link_broken", `it does not follow the entry before it: that one, or both, were changed`, index);
    doubted = hashOfRow(row) !== row.hash;
    if (doubted) findings.add("entry_changed", "its hash is not that of what it says", index);
    heads.beside(row);
    entries += 1;
    last = row;
  }
  heads.beyond(last);
  return { entries, last };
};

/** V2, V4 for one signature after the other. */
class HeadChecker {
  readonly #heads: Iterator<LedgerHead>;
  readonly #findings: Findings;
  readonly #fingerprint: string | undefined;
  #next: LedgerHead | undefined;
  #keyTold: string | undefined;
  count = 0;
  signedUpTo = 0;

  constructor({ database, fingerprint }: VerifyOptions, findings: Findings) {
    this.#heads = readLedgerHeads(database);
    this.#findings = findings;
    this.#fingerprint = fingerprint;
    this.#advance();
  }

  beside({ index, hash }: LedgerRow): void {
    for (let head = this.#next; head !== undefined && head.index <= index; head = this.#next) {
      if (head.index < index) this.#findings.add("head_changed", "it signs an entry that is not there", head.index);
      else if (head.hash !== hash) this.#findings.add("head_changed", "it signs another entry than the one that is there", index);
      this.signature("head", head);
      this.#advance();
    }
  }

  /** Heads after the last entry. */
  beyond(last: LedgerRow | undefined): void {
    for (let head = this.#next; head !== undefined; head = this.#next) {
      this.#findings.add("cut", `the ledger ends with ${endOf(last)}, a head signs entry ${head.index}`, head.index);
      this.signature("head", head);
      this.#advance();
    }
  }

  signature(purpose: SignaturePurpose, head: LedgerHead): void {
    const name = purpose === "head" ? "the head" : "the end";
    if (!LedgerHead.safeParse(head).success || !verifyHead(purpose, head))
      this.#findings.add("signature_wrong", `${name} is not signed by the key that it names`, head.index);
    else if (purpose === "head") this.signedUpTo = Math.max(this.signedUpTo, head.index);
    const found = fingerprintOf(head.publicKey);
    const expected = this.#fingerprint ?? this.#keyTold;
    if (expected !== undefined && found !== expected && found !== this.#keyTold)
      this.#findings.add("key_changed", `${name} names the key ${found}, expected ${expected}`, head.index);
    this.#keyTold = found;
  }

  #advance(): void {
    const { done, value } = this.#heads.next();
    this.#next = done ? undefined : value;
    if (!done) this.count += 1;
  }
}

const endOf = (last: LedgerRow | undefined): string => (last === undefined ? "nothing" : `entry ${last.index}`);

const same = (a: LedgerHead, b: LedgerHead): boolean =>
  a.index === b.index && a.hash === b.hash && a.atMs === b.atMs && a.publicKey === b.publicKey && a.signature === b.signature;

/** V3 */
const checkFile = async (
  database: VerifyOptions["database"],
  fileHeads: AsyncIterable<LedgerHead>,
  last: LedgerRow | undefined,
  findings: Findings,
): Promise<void> => {
  const own = readLedgerHeads(database);
  const next = (): LedgerHead | undefined => {
    const { done, value } = own.next();
    return done ? undefined : value;
  };
  let known = next();
  let before = 0;
  for await (const head of fileHeads) {
    if (head.index <= before) findings.add("heads_file_changed", "the file's heads are not in order", head.index);
    before = head.index;
    for (; known !== undefined && known.index < head.index; known = next())
      findings.add("head_not_in_file", "the database has a head that the file beside it lacks", known.index);
    if (known?.index === head.index) {
      if (!same(known, head))
        findings.add("head_changed", "the database and the file beside it have different heads", head.index);
      known = next();
    } else if (head.index > (last?.index ?? 0))
      findings.add(
        "cut",
        `the ledger ends with ${endOf(last)}, the file beside it has a head of entry ${head.index}`,
        head.index,
      );
    else findings.add("head_missing", "the file beside the database has a head that the database lacks", head.index);
  }
  for (; known !== undefined; known = next())
    findings.add("head_not_in_file", "the database has a head that the file beside it lacks", known.index);
};

const checkEnd = (database: VerifyOptions["database"], { last }: Chain, heads: HeadChecker, findings: Findings): void => {
  const tail = readLedgerTail(database);
  if (tail === undefined) {
    if (last !== undefined) findings.add("end_missing", "the signed end is not there", last.index);
    return;
  }
  heads.signature("tail", tail);
  if (last === undefined || last.index < tail.index)
    findings.add("cut", `the ledger ends with ${endOf(last)}, entry ${tail.index} was signed as its end`, tail.index);
  else if (last.index > tail.index)
    findings.add("end_changed", `entry ${tail.index} was signed as the end, the last is entry ${last.index}`, tail.index);
  else if (last.hash !== tail.hash) findings.add("end_changed", "another entry was signed as the end", tail.index);
};

/** What cannot be read ends the step that reads it, and is told. */
const attempt = async (findings: Findings, kind: LedgerProblem["kind"], work: () => Promise<void> | void): Promise<void> => {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof EsperError)) throw error;
    findings.add(kind, error.message);
  }
};

export const verifyLedger = async (options: VerifyOptions): Promise<LedgerVerdict> => {
  const { database, fileHeads, fingerprint, problemsMax } = options;
  const findings = new Findings(problemsMax);
  let chain: Chain = { entries: 0, last: undefined };
  let heads: HeadChecker | undefined;
  await attempt(findings, "unreadable", () => {
    const checker = new HeadChecker(options, findings);
    heads = checker;
    chain = checkChain(database, checker, findings);
    checkEnd(database, chain, checker, findings);
  });
  const { entries, last } = chain;
  const isSigned = entries > 0 || (heads?.count ?? 0) > 0;
  if (entries > 0 && heads?.count === 0) findings.add("head_missing", "no signed head is in the database"); // V4
  if (fingerprint === undefined && isSigned)
    findings.add(
      "key_unknown",
      "the fingerprint of the key is not noted beside the database: whose signatures these are cannot be told",
    ); // V4
  if (fileHeads === undefined) {
    if (isSigned || fingerprint !== undefined)
      findings.add(
        "heads_file_missing",
        "the file of signed heads is not beside the database: whether the end was cut cannot be told",
      ); // V4
  } else await attempt(findings, "heads_file_changed", () => checkFile(database, fileHeads, last, findings));
  return {
    entries,
    heads: heads?.count ?? 0,
    signedUpTo: heads?.signedUpTo ?? 0,
    problems: findings.problems,
    problemCount: findings.count,
  };
};
