/** A state's mark inside a drawing: a rounded square with the state's shape. */
import { isDark } from "../lib/theme.ts";
import { glyphUnits, styleOf } from "./state-look.ts";

interface GlyphProps {
  readonly state: string;
  readonly machine?: string;
  /** Top left corner and side, in the drawing's units. */
  readonly x?: number;
  readonly y?: number;
  readonly size?: number;
}

export const Glyph = ({ state, machine = "seed", x = 0, y = 0, size = 16 }: GlyphProps) => {
  const { fill, ink, path } = styleOf(state, isDark.value, machine);
  const inner = size * 0.66;
  const margin = (size - inner) / 2;
  return (
    <g>
      <rect x={x} y={y} width={size} height={size} rx={size / 4} fill={fill} />
      <path
        d={path}
        fill={ink}
        fill-rule="evenodd"
        transform={`translate(${x + margin} ${y + margin}) scale(${inner / glyphUnits})`}
      />
    </g>
  );
};
