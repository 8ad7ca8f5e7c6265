/** The tables of `esper.db`, as steps that are only ever added to. JSON columns hold canonical JSON of a contract. */

const library = `
CREATE TABLE assets (
  hash TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  producer TEXT NOT NULL,
  toolchain TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  key_hash TEXT
) WITHOUT ROWID;
CREATE INDEX assets_by_key ON assets (key_hash, created_at_ms) WHERE key_hash IS NOT NULL;
CREATE TABLE asset_inputs (
  hash TEXT NOT NULL REFERENCES assets (hash),
  position INTEGER NOT NULL,
  input TEXT NOT NULL,
  PRIMARY KEY (hash, position)
) WITHOUT ROWID;
CREATE TABLE field_reports (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL,
  received_at_ms INTEGER NOT NULL,
  report TEXT NOT NULL
);
CREATE INDEX field_reports_by_run ON field_reports (run_id, id);
`;

const runs = `
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY,
  arm TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  paused INTEGER NOT NULL DEFAULT 0,
  outcome TEXT,
  reason TEXT,
  base_epoch INTEGER NOT NULL DEFAULT 0,
  base_snapshots TEXT NOT NULL DEFAULT 'null'
) WITHOUT ROWID;
CREATE TABLE boundaries (
  run_id TEXT NOT NULL REFERENCES runs (run_id),
  epoch INTEGER NOT NULL,
  reply TEXT NOT NULL,
  snapshots TEXT NOT NULL,
  PRIMARY KEY (run_id, epoch)
) WITHOUT ROWID;
CREATE TABLE seed_transitions (
  run_id TEXT NOT NULL REFERENCES runs (run_id),
  seed_id TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  boundary_epoch INTEGER NOT NULL,
  state TEXT NOT NULL,
  transition TEXT NOT NULL,
  PRIMARY KEY (run_id, seed_id, sequence)
) WITHOUT ROWID;
CREATE TABLE commands (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL UNIQUE,
  run_id TEXT,
  received_at_ms INTEGER NOT NULL,
  pending INTEGER NOT NULL,
  command TEXT NOT NULL,
  receipt TEXT NOT NULL
);
CREATE INDEX commands_pending ON commands (run_id, id) WHERE pending = 1;
CREATE INDEX commands_by_age ON commands (received_at_ms);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  payload TEXT NOT NULL,
  sent_at_ms INTEGER
);
CREATE INDEX outbox_unsent ON outbox (id) WHERE sent_at_ms IS NULL;
`;

const tags = `
CREATE TABLE kernel_tags (
  kernel_hash TEXT NOT NULL,
  machine TEXT NOT NULL,
  kind TEXT NOT NULL,
  measured_at_ms INTEGER NOT NULL,
  tags TEXT NOT NULL,
  PRIMARY KEY (kernel_hash, machine)
) WITHOUT ROWID;
CREATE INDEX kernel_tags_by_kind ON kernel_tags (kind, measured_at_ms);
`;

/** Strict: a value of another type than its column's is refused, so that an edit cannot hide in a conversion. */
const ledger = `
CREATE TABLE ledger (
  entry_index INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  run_id TEXT,
  seed_id TEXT,
  site TEXT,
  payload TEXT NOT NULL,
  previous_hash TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX ledger_by_run ON ledger (run_id, entry_index);
CREATE TABLE ledger_heads (
  entry_index INTEGER PRIMARY KEY,
  hash TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  public_key TEXT NOT NULL,
  signature TEXT NOT NULL
) STRICT;
CREATE TABLE ledger_tail (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  entry_index INTEGER NOT NULL,
  hash TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  public_key TEXT NOT NULL,
  signature TEXT NOT NULL
) STRICT;
`;

const control = `
CREATE TABLE gate_windows (
  login TEXT PRIMARY KEY,
  start_ms INTEGER NOT NULL,
  count INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX gate_windows_by_start ON gate_windows (start_ms);
CREATE TABLE approvals (
  request_id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX approvals_by_state ON approvals (state, created_at_ms);
CREATE TABLE learning_changes (
  request_id TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  change TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX learning_changes_by_time ON learning_changes (at_ms);
`;

const deadLetters = `
CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  state TEXT NOT NULL,
  principal TEXT NOT NULL,
  subject TEXT NOT NULL,
  message_id TEXT NOT NULL,
  stream TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  reason TEXT NOT NULL,
  deliveries INTEGER NOT NULL,
  occurrences INTEGER NOT NULL,
  retries INTEGER NOT NULL,
  first_at_ms INTEGER NOT NULL,
  last_at_ms INTEGER NOT NULL,
  envelope TEXT,
  raw TEXT,
  UNIQUE (principal, subject, message_id)
);
CREATE INDEX dead_letters_by_place ON dead_letters (stream, sequence);
`;

/** `head`: the signed head of the highest version of the index of artifacts that was seen. */
const artifacts = `
ALTER TABLE assets ADD COLUMN source TEXT NOT NULL DEFAULT 'an older Esper';
ALTER TABLE assets ADD COLUMN confidence REAL;
ALTER TABLE assets ADD COLUMN command_hash TEXT;
CREATE TABLE artifact_index_seen (id INTEGER PRIMARY KEY CHECK (id = 1), head TEXT NOT NULL) STRICT;
CREATE TABLE artifact_index_names (key TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
`;

/** What commands ask of the library and of what was decided. `resolved`: the command with what it names by hash looked up. */
const steering = `
ALTER TABLE commands ADD COLUMN resolved TEXT;
CREATE TABLE decisions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id TEXT NOT NULL UNIQUE,
  run_id TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  decision TEXT NOT NULL
);
CREATE INDEX decisions_by_run ON decisions (run_id, epoch);
CREATE TABLE kernel_status (
  hash TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  reason TEXT NOT NULL,
  principal TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE experiences (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL UNIQUE,
  run_id TEXT,
  principal TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  experience TEXT NOT NULL
);
`;

/** Runs that wait for their turn. */
const waitingRuns = `
CREATE TABLE waiting_runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL UNIQUE,
  run TEXT NOT NULL
);
`;

export const migrations: readonly string[] = [
  library + runs,
  tags,
  ledger,
  control,
  deadLetters,
  artifacts,
  steering,
  waitingRuns,
];
