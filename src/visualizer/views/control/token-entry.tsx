/** Who commands: the token that `esper token` prints, kept for this tab. */
import { useState } from "preact/hooks";
import { claims, enterToken, forgetToken, readClaims, token } from "../../data/token.ts";
import { nowMs } from "../../lib/clock.ts";
import { bounded, clockTime } from "../../lib/format.ts";
import { Card } from "../../parts/card.tsx";
import { Icon } from "../../parts/icon.tsx";

export const TokenEntry = () => {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const enter = (): void => {
    const given = text.trim();
    if (readClaims(given) === undefined) {
      setProblem("Expected a token of three parts with a role, as `esper token --role operator` prints it.");
      return;
    }
    enterToken(given);
    setText("");
    setProblem("");
  };
  const known = claims.value;
  if (token.value !== undefined && known !== undefined) {
    const over = known.expiresAtMs !== undefined && known.expiresAtMs < nowMs();
    return (
      <Card title="Token">
        <div class="row wraps">
          <Icon name="key" />
          <span>
            <b class="wrap">{bounded(known.name, 60)}</b> as <b>{known.role}</b>
            {known.expiresAtMs === undefined ? "" : over ? ", expired at " : ", until "}
            {known.expiresAtMs === undefined ? "" : clockTime(known.expiresAtMs)}
          </span>
          {over ? <span class="chip bad">expired</span> : null}
          <button type="button" class="button end" onClick={forgetToken}>
            Forget it
          </button>
        </div>
      </Card>
    );
  }
  return (
    <Card title="Token" note="read-only until one is entered">
      <form
        class="column tight"
        onSubmit={(event) => {
          event.preventDefault();
          enter();
        }}
      >
        <label class="field">
          <span>
            <code>esper token --role operator</code> prints one. It stays in this tab and goes to this node only.
          </span>
          <input
            class="input mono"
            type="password"
            autocomplete="off"
            spellcheck={false}
            placeholder="Paste the token"
            aria-label="Token"
            aria-invalid={problem !== ""}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <div class="row">
          <button type="submit" class="button primary">
            Enter
          </button>
          <span class="bad-text small" role="status">
            {problem}
          </span>
        </div>
      </form>
    </Card>
  );
};
