/** Reads the cards of a page: the names and values of each, as a person sees them. */

/** Per card, by the id of its heading, the values by their names; a status beside a value stands in brackets. */
export function readFacts(html: string): Record<string, Record<string, string>> {
  const cards = html.matchAll(/<section\b[^>]*aria-labelledby="(\w+)"[^>]*>(.*?)<\/section>/gs);
  return Object.fromEntries(
    [...cards].map(([, id = '', inside = '']) => [
      id,
      Object.fromEntries(
        [...inside.matchAll(/<dt>(.*?)<\/dt>\s*<dd>(.*?)<\/dd>/gs)].map(([, name = '', value = '']) => [
          readText(name),
          readText(value.replace(/<span class="chip[^>]*>(.*?)<\/span>/gs, '[$1]')),
        ]),
      ),
    ]),
  );
}

/** The text of a piece of a page, without what is hidden from readers. */
export function readText(html: string): string {
  const names: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#34': '"' };
  return html
    .replace(/<(\w+)\b[^>]*aria-hidden="true"[^>]*>.*?<\/\1>/gs, '')
    .replace(/<[^>]+>/g, '')
    .replace(/&(amp|lt|gt|quot|#39|#34);/g, (_, name: string) => names[name] ?? '')
    .replace(/\s+/g, ' ')
    .trim();
}
