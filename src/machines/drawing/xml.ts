/** XML as text: names and texts are escaped, always. */

/** Text that XML takes as text, in an element or in a quoted attribute; characters that XML does not know become a replacement. */
export const escapeXml = (text: string): string =>
  text
    .replaceAll(/[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu, "\u{FFFD}")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");

export type Attributes = Readonly<Record<string, string | number>>;

export const element = (name: string, attributes: Attributes, ...children: readonly string[]): string => {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(String(value))}"`);
  const opened = `<${name}${written.join("")}`;
  return children.length === 0 ? `${opened}/>` : `${opened}>${children.join("")}</${name}>`;
};
