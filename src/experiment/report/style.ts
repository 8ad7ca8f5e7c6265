/** The report's style sheet: light and dark by the reader's setting. */
import type { ExperimentArm } from "../../contracts/experiment.ts";
import type { LifecycleState } from "../../contracts/lifecycle.ts";

/** Light and dark colour of each arm: told apart also by people who see red and green alike. */
const armColors: Readonly<Record<ExperimentArm, readonly [string, string]>> = {
  "no-growth": ["#6b7280", "#9ca3af"],
  grown: ["#0f62c4", "#5aa2ff"],
  "random-place": ["#b35c00", "#f0a04b"],
  "always-grow": ["#8a3ffc", "#bb93ff"],
  "final-size": ["#b0246d", "#f27bb5"],
  healthy: ["#0b7a55", "#3ecf9b"],
  watched: ["#00838f", "#4dd0e1"],
};

const stateColors: Readonly<Partial<Record<LifecycleState, readonly [string, string]>>> = {
  GERMINATED: ["#c7d2fe", "#4c5a9e"],
  LOADING: ["#a5b4fc", "#6170c4"],
  TRAINING: ["#60a5fa", "#3b82f6"],
  GRAFTING: ["#22b8cf", "#15aabf"],
  STABILIZATION: ["#94d3a2", "#4f9d69"],
  EVALUATING: ["#facc15", "#ca9a04"],
  FINE_TUNING: ["#fb923c", "#ea7a1a"],
  FOSSILIZED: ["#15803d", "#4ade80"],
  CULLED: ["#b91c1c", "#f87171"],
  ROLLED_BACK: ["#7f1d1d", "#dc2626"],
};

const rules = (index: 0 | 1): string =>
  [
    ...Object.entries(armColors).map(([arm, colors]) => `.arm-${arm}{--c:${colors[index]}}`),
    ...Object.entries(stateColors).map(([state, colors]) => `.state-${state}{--c:${colors[index]}}`),
  ].join("");

export const styleSheet = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d8dee4;--card:#f6f8fa;--in:#0f62c4;--out:#c2410c}
${rules(0)}
@media (prefers-color-scheme:dark){:root{--bg:#0f1317;--fg:#e6e9ec;--soft:#9aa4af;--line:#30363d;--card:#171c22;--in:#5aa2ff;--out:#fb923c}
${rules(1)}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1180px;padding:2rem 1.25rem 4rem;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:2.4rem 0 .7rem}h3{font-size:1rem;margin:0 0 .5rem}
p{margin:.3rem 0 .9rem;max-width:80ch}.soft,.none{color:var(--soft)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));gap:1rem}
figure{margin:0;padding:1rem;background:var(--card);border:1px solid var(--line);border-radius:8px}
figure.wide{grid-column:1/-1}
svg{display:block;width:100%;height:auto;font-family:inherit}
.table{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:.38rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child{text-align:left}td:last-child{white-space:normal}thead th{color:var(--soft);font-weight:600;border-bottom-width:2px}
tbody th{font-weight:500}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft)}.tick{fill:var(--soft);font-size:11px}.label{fill:var(--fg);font-size:12px}
.line{fill:none;stroke:var(--c);stroke-width:2}.band{fill:var(--c);opacity:.14}
.dot{fill:var(--c);opacity:.55}.dot.best{opacity:1;stroke:var(--fg);stroke-width:1}
.front{fill:none;stroke:var(--soft);stroke-width:1.2;stroke-dasharray:5 4}
.pair line{stroke:var(--c);opacity:.35;stroke-width:2}.pair circle{fill:var(--c)}.inside{--c:var(--in)}.outside{--c:var(--out)}
.hollow circle{fill:var(--card);stroke:var(--c);stroke-width:2}
rect{fill:var(--c)}.host{fill:var(--line)}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.6rem 0 0;font-size:13px;max-width:none}
.legend span{display:inline-flex;align-items:center;gap:.4rem}.legend i{width:.8rem;height:.8rem;border-radius:3px;background:var(--c)}
`.trim();
